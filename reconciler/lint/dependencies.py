"""Task dependencies: ids that nobody has, and tasks that wait for one another.

Ranges are over numeric ids written plainly ("9", not "09") and need every id in them; all ids of a task together have
at most 64,000 characters (REST reference, "BatchTaskDependencies").
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeAlias

from reconciler.lint.finding import Finding, Part
from reconciler.lint.parts import Job, jobs
from reconciler.model.desired import Desired

_MOST_CHARACTERS: Final = 64_000
_MOST_CIRCLES: Final = 10
_MOST_SHOWN: Final = 12
_Node: TypeAlias = str | tuple[int, int]
"""A task by its folded id, or a range. Tasks that name the same range share its node, so that a thousand tasks that
wait for a hundred thousand make no graph of a hundred million edges."""


@dataclass
class _Graph:
    """What waits for what in one job."""

    names: Mapping[str, Part]
    numbers: list[int]
    edges: dict[_Node, list[_Node]] = field(default_factory=dict)

    def after(self, node: _Node) -> list[_Node]:
        """What *node* waits for."""
        if isinstance(node, tuple) and node not in self.edges:
            first, last = bisect_left(self.numbers, node[0]), bisect_right(self.numbers, node[1])
            self.edges[node] = [str(number) for number in self.numbers[first:last]]
        return self.edges.get(node, [])


def check(desired: Desired) -> Iterator[Finding]:
    """Unknown ids, ranges and cycles of every job."""
    for job in jobs(desired):
        if any(task.body.get("dependsOn") for task in job.tasks):
            yield from _job(job)


def _job(job: Job) -> Iterator[Finding]:
    parts = {str(part.body.get("id", "")).lower(): part for part in job.tasks}
    numbers = sorted(int(id_) for id_ in parts if id_.isdecimal() and str(int(id_)) == id_)
    graph = _Graph(parts, numbers)
    manager = job.part.get("jobManagerTask") is not None
    wanted = False
    for id_, part in parts.items():
        depends = part.part("dependsOn")
        if depends is None:
            continue
        wanted = True
        graph.edges[id_] = []
        yield from _ids(graph, id_, depends, manager=manager)
        yield from _ranges(graph, id_, depends, manager=manager)
    if wanted and job.part.get("usesTaskDependencies") is not True:
        yield job.part.error("expected usesTaskDependencies: true, since its tasks depend on others")
    yield from islice(_cycles(graph), _MOST_CIRCLES)


def _ids(graph: _Graph, id_: str, depends: Part, *, manager: bool) -> Iterator[Finding]:
    given = depends.get("taskIds")
    ids = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    if sum(map(len, ids)) > _MOST_CHARACTERS:
        yield depends.error(f"expected ids of at most {_MOST_CHARACTERS:,} characters together, found more", "taskIds")
    for index, one in enumerate(ids):
        if one.lower() in graph.names:
            graph.edges[id_].append(one.lower())
        else:
            yield _unknown(depends, f"expected the id of a task of the job, found {one!r}", manager, "taskIds", index)


def _ranges(graph: _Graph, id_: str, depends: Part, *, manager: bool) -> Iterator[Finding]:
    for one in depends.items("taskIdRanges"):
        start, end = one.get("start"), one.get("end")
        if not (isinstance(start, int) and isinstance(end, int)):
            continue
        if start > end:
            yield one.error(f"expected an end of at least {start}, found {end}", "end")
            continue
        graph.edges[id_].append((start, end))
        first, last = bisect_left(graph.numbers, start), bisect_right(graph.numbers, end)
        missing = end - start + 1 - (last - first)
        if missing:
            there = graph.numbers[first:last]
            gap = next((start + at for at, number in enumerate(there) if number != start + at), start + len(there))
            more = f" and {missing - 1:,} more" if missing > 1 else ""
            message = f"expected tasks with the ids {start} to {end}, found none with the id {gap}{more}"
            yield _unknown(one, message, manager)


def _unknown(part: Part, message: str, manager: bool, *names: str | int) -> Finding:
    """An id that no declared task has. A job manager may add it yet."""
    if manager:
        return part.warning(f"{message} (unless the job manager adds it)", *names)
    return part.error(message, *names)


def _cycles(graph: _Graph) -> Iterator[Finding]:
    """One finding for each circle that the walk closes; no recursion, since chains may be long."""
    done: set[_Node] = set()
    for root in list(graph.edges):
        path: list[_Node] = []
        on_path: set[_Node] = set()
        stack: list[tuple[_Node, Iterator[_Node]]] = []
        if root not in done:
            path.append(root)
            on_path.add(root)
            stack.append((root, iter(graph.after(root))))
        while stack:
            node, following = stack[-1]
            for other in following:
                if other in on_path:
                    yield _cycle(graph, path[path.index(other) :])
                elif other not in done:
                    path.append(other)
                    on_path.add(other)
                    stack.append((other, iter(graph.after(other))))
                    break
            else:
                stack.pop()
                done.add(path.pop())
                on_path.discard(node)


def _cycle(graph: _Graph, nodes: list[_Node]) -> Finding:
    """The circle as people write it, beginning at the task declared first."""
    tasks = [node for node in nodes if isinstance(node, str)]
    first = min(range(len(tasks)), key=lambda at: graph.names[tasks[at]].path[1])
    turned = [*tasks[first:], *tasks[:first], tasks[first]]
    names = [str(graph.names[node].body.get("id", "")) for node in turned]
    if len(names) > _MOST_SHOWN:
        names[_MOST_SHOWN // 2 : -_MOST_SHOWN // 2] = [f"({len(names) - _MOST_SHOWN:,} more)"]
    shown = " -> ".join(names)
    return graph.names[turned[0]].error(f"expected dependencies without a circle, found {shown}", "dependsOn")
