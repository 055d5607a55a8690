"""Forecasts in words: a label and a line for each thing that carrying out a plan does besides its actions."""

from collections.abc import Iterator
from typing import Final

from reconciler.forecast import FileLoss, Forecast, ObjectForecast, Place, QuotaUse, Release, TaskLoss
from reconciler.lifecycle.wording import counted, few, verb_for
from reconciler.model import duration
from reconciler.observed import short

UNKNOWN: Final = "not known"
_QUOTAS: Final = {
    "cores": "cores of dedicated nodes",
    "lowPriorityCores": "cores of spot nodes",
    "pools": "pools",
    "activeJobsAndSchedules": "active jobs and schedules",
}


def forecast_lines(found: ObjectForecast, address: str) -> Iterator[tuple[str, str]]:
    """What is lost with the object of this address, released, erased and waited for, by label; empty where nothing is.
    A wait is told where it has a limit: what has none is in the road."""
    if found.tasks is not None:
        yield "tasks", tasks_text(found.tasks)
    for release in found.releases:
        of = "" if release.job == address else f"of {release.job}: "
        yield "release", of + release_text(release)
    if found.files is not None:
        yield "erases", files_text(found.files)
    if found.children:
        yield "jobs", f"{few(found.children)} {verb_for(len(found.children), 'goes')} with it"
    if found.wait is not None and found.wait.seconds:
        most = f"up to {duration.words_of(found.wait.seconds)}"
        rest = f"; no limit is known for {', '.join(found.wait.unlimited)}" if found.wait.unlimited else ""
        yield "waits", most + rest
    for reason in found.unread:
        yield "unread", reason


def tasks_text(loss: TaskLoss) -> str:
    """`3 running tasks are cut off, 5 waiting ones never run`."""
    if loss.running is None:
        again = " and start again from the beginning" if loss.restarts else ""
        return f"how many run or wait is {UNKNOWN}; those that run are cut off{again}"
    parts = []
    if loss.running:
        text = f"{counted(loss.running, 'running task', 'is')} cut off"
        again = f"{verb_for(loss.running, 'starts')} again from the beginning"
        parts.append(text + (f" and {again}" if loss.restarts else ""))
    if loss.waiting is None:
        parts.append(f"how many wait is {UNKNOWN}")
    elif loss.waiting and loss.restarts:
        parts.append(f"{counted(loss.waiting, 'waiting task', 'is')} added again")
    elif loss.waiting:
        parts.append(f"{counted(loss.waiting, 'waiting task')} never {verb_for(loss.waiting, 'runs')}")
    if loss.finished is None:
        parts.append(f"how many finished ones run again is {UNKNOWN}")
    elif loss.finished:
        parts.append(f"{counted(loss.finished, 'finished task', 'runs')} again")
    return ", ".join(parts)


def release_text(release: Release) -> str:
    """`runs on 2 nodes (n1, n2); not on n3 (has left the pool)`."""
    if not release.is_known:
        return f"on which nodes it runs, and whether they are there, is {UNKNOWN}"
    parts = []
    if release.runs:
        parts.append(f"runs on {counted(len(release.runs), 'node')} ({_named(release.runs)})")
    if release.uncertain:
        most = f" on up to {release.at_most} of" if release.at_most is not None else " on"
        verb = "may be lost" if release.at_most is not None else "is uncertain"
        parts.append(f"{verb}{most} {_reasons(release.uncertain)}")
    if release.lost:
        parts.append(f"does not run on {_reasons(release.lost)}")
    return "; ".join(parts) or "no node owes it"


def files_text(loss: FileLoss) -> str:
    """What is erased, and what is kept of it."""
    parts = []
    if loss.whole is None:
        parts.append(f"everything on the nodes that go (how many is {UNKNOWN})")
    elif loss.whole:
        parts.append(f"everything on {counted(loss.whole, 'node')}")
    if loss.tasks is None:
        parts.append(f"task directories (how many is {UNKNOWN})")
    elif loss.tasks:
        owner = "director" + ("y" if loss.tasks == 1 else "ies")
        parts.append(f"the {owner} of {counted(loss.tasks, 'task')}")
    if loss.nodes is None:
        parts.append(f"those of preparation and release (on how many nodes is {UNKNOWN})")
    elif loss.nodes:
        parts.append(f"those of preparation and release on {counted(loss.nodes, 'node')}")
    text = _listed(parts)
    return f"{text}; {loss.kept}" if loss.kept else text


def quota_lines(forecast: Forecast) -> tuple[str, ...]:
    """How much of each known quota is used, before and after."""
    return tuple(map(quota_text, forecast.quotas))


def quota_text(use: QuotaUse) -> str:
    """`active jobs and schedules: 98 -> 101 of 100, 1 too many`."""
    before, after = (UNKNOWN if count is None else str(count) for count in (use.before, use.after))
    change = before if before == after else f"{before} -> {after}"
    over = f", {use.after - use.limit} too many" if use.is_over and use.after is not None else ""
    note = f" ({use.note})" if use.note else ""
    return f"{_QUOTAS[use.name]}: {change} of {use.limit}{over}{note}"


def _named(places: tuple[Place, ...]) -> str:
    return few([short(place.node) for place in places])


def _reasons(places: tuple[Place, ...]) -> str:
    """Nodes by why: `n1, n2 (has left the pool)`."""
    by_reason: dict[str, list[str]] = {}
    for place in places:
        by_reason.setdefault(place.why, []).append(short(place.node))
    return "; ".join(few(nodes) + (f" ({why})" if why else "") for why, nodes in by_reason.items())


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
