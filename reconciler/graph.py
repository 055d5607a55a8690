"""What depends on what: objects and edges, of manifests or of a plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.lifecycle.steps import Wait
from reconciler.model.desired import Desired, Key, Kind, Wanted
from reconciler.observed import LiveJob, LiveSchedule
from reconciler.planning import Entry, Plan


class Relation(StrEnum):
    """What an edge says of the object at its beginning."""

    RUNS_ON = "runs on"
    MAKES = "makes"
    WAITS_FOR = "waits for"


@dataclass(frozen=True, slots=True)
class Node:
    """One object. *declared*: a manifest names it, or it is in the plan. *source* is FILE:LINE, empty without one."""

    address: str
    declared: bool = True
    tasks: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """From one address to another."""

    start: str
    end: str
    relation: Relation


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges, each in the order of their addresses, pools first."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def of(self, address: str) -> tuple[Edge, ...]:
        """The edges that begin at an address."""
        return tuple(edge for edge in self.edges if edge.start == address)


def of_manifests(desired: Desired) -> Graph:
    """Declared objects, and the pools that they name."""
    nodes = {wanted.address: _node(wanted) for wanted in desired.objects.values()}
    edges = [
        Edge(wanted.address, address, Relation.RUNS_ON)
        for wanted in desired.objects.values()
        for address in _pool_of(wanted, desired.objects)
    ]
    return _graph(nodes, edges)


def of_plan(plan: Plan) -> Graph:
    """Objects of a plan, and besides what they run on what they wait for: what has to be done, or has to end, first."""
    nodes = {entry.address: _planned(entry) for entry in plan.entries.values()}
    edges = []
    for key, entry in plan.entries.items():
        pools = set(_pool_of(entry.wanted, plan.entries)) if entry.wanted is not None else set[str]()
        if isinstance(entry.live, LiveJob | LiveSchedule) and entry.live.pool is not None:
            pools.add(_address(entry.live.pool, plan.entries))
        edges += [Edge(entry.address, pool, Relation.RUNS_ON) for pool in pools]
        if entry.parent is not None:
            edges.append(Edge(_address(entry.parent, plan.entries), entry.address, Relation.MAKES))
        before = {other.address for other in plan.waits_for(key)}
        before |= {_address(other, plan.entries) for step in entry.road if isinstance(step, Wait) for other in step.on}
        edges += [Edge(entry.address, other, Relation.WAITS_FOR) for other in before]
    return _graph(nodes, edges)


def _node(wanted: Wanted) -> Node:
    return Node(wanted.address, tasks=len(wanted.tasks), source=str(wanted.source))


def _planned(entry: Entry) -> Node:
    return _node(entry.wanted) if entry.wanted is not None else Node(entry.address)


def _pool_of(wanted: Wanted, known: Mapping[Key, Wanted] | Mapping[Key, Entry]) -> Iterator[str]:
    spec: Any = wanted.body.get("jobSpecification", wanted.body)
    if named := (spec.get("poolInfo") or {}).get("poolId"):
        yield _address(Key.of(Kind.POOL, named), known, named)


def _address(key: Key, known: Mapping[Key, Wanted] | Mapping[Key, Entry], name: str = "") -> str:
    """The address of an object, as its manifest or the account spells it where it is known."""
    found = known.get(key)
    return found.address if found is not None else f"{key.kind}/{name or key.id}"


def _graph(nodes: dict[str, Node], edges: list[Edge]) -> Graph:
    for edge in edges:
        for address in (edge.start, edge.end):
            nodes.setdefault(address, Node(address, declared=False))
    order = {str(kind): number for number, kind in enumerate(Kind)}
    ordered = sorted(nodes.values(), key=lambda node: (order[node.address.partition("/")[0]], node.address))
    return Graph(tuple(ordered), tuple(sorted(set(edges))))
