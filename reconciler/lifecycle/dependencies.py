"""Which tasks wait for a failed one: they stay active for ever, and so does their job (REST reference, ExitOptions)."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from reconciler.observed import LiveTask

SATISFY: Final = "satisfy"


def held_back(tasks: Mapping[str, LiveTask]) -> tuple[tuple[LiveTask, ...], frozenset[str]]:
    """The failed tasks of a job that others wait for, and the folded ids of all that can never start for them.

    A range names numeric ids written plainly; one that was reached is not looked at again, so that a thousand tasks
    that wait for the same hundred thousand cost no hundred million steps.
    """
    after_id: dict[str, list[str]] = {}
    after_range: dict[tuple[int, int], list[str]] = {}
    for task in tasks.values():
        on = task.spec.get("dependsOn")
        if on and not task.is_over:
            for name in on.get("taskIds") or ():
                after_id.setdefault(name.lower(), []).append(task.id)
            for part in on.get("taskIdRanges") or ():
                after_range.setdefault((part["start"], part["end"]), []).append(task.id)
    failed = [task for task in tasks.values() if task.failed and not _lets_others_start(task)]
    numbers = sorted(_numbers(task.id for task in failed))
    causes, held = set[str](), set[str]()
    due = deque[str]()

    def hold(waiting: Iterable[str]) -> None:
        new = [id_ for id_ in waiting if id_ not in held]
        held.update(new)
        due.extend(new)

    for task in failed:
        if task.id in after_id:
            causes.add(task.id)
            hold(after_id[task.id])
    for (start, end), waiting in list(after_range.items()):
        at = bisect_left(numbers, start)
        if at < len(numbers) and numbers[at] <= end:
            causes.add(str(numbers[at]))
            hold(waiting)
            del after_range[start, end]
    while due:
        id_ = due.popleft()
        hold(after_id.get(id_, ()))
        for number in _numbers([id_]):
            for start, end in [one for one in after_range if one[0] <= number <= one[1]]:
                hold(after_range.pop((start, end)))
    return tuple(task for task in failed if task.id in causes), frozenset(held)


def _numbers(ids: Iterable[str]) -> Iterable[int]:
    return (int(id_) for id_ in ids if id_.isdecimal() and str(int(id_)) == id_)


def _lets_others_start(task: LiveTask) -> bool:
    """Whether its `exitConditions` may let others start although it failed. Its exit code counts before an upload
    error, and that before the rest; which error it was without a code is not known here."""
    conditions = task.spec.get("exitConditions") or {}
    if task.exit_code is not None:
        for mapping in (conditions.get("exitCodes") or {}).values():
            if mapping["code"] == task.exit_code:
                return _satisfies(mapping["exitOptions"])
        for part in conditions.get("exitCodeRanges") or ():
            if part["start"] <= task.exit_code <= part["end"]:
                return _satisfies(part["exitOptions"])
        return any(_satisfies(conditions.get(name)) for name in ("fileUploadError", "default"))
    return any(_satisfies(conditions.get(name)) for name in ("preProcessingError", "fileUploadError", "default"))


def _satisfies(options: Mapping[str, Any] | None) -> bool:
    return (options or {}).get("dependencyAction") == SATISFY
