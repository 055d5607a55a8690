"""`lifecycle.ignoreChanges`: a manifest as it counts beside its live object."""

from dataclasses import replace

from reconciler.lifecycle.schedule import NOT_YET
from reconciler.model.desired import SPECS, Wanted
from reconciler.model.paths import keeping, parse
from reconciler.model.table import to_wire
from reconciler.observed import Live, LiveJob, LiveSchedule, Mark


def beside(wanted: Wanted | None, live: Live | None) -> Wanted | None:
    """The manifest with the live values at the paths it ignores: nothing differs there, and an update that has to
    send the whole of an object keeps its ignored part. At creation the manifest counts as it stands, also for what we
    write some steps later."""
    if wanted is None or live is None or not wanted.lifecycle.ignoreChanges:
        return wanted
    model = SPECS[wanted.key.kind]
    spec, body = wanted.spec, dict(wanted.body)
    kept_of = {**live.spec, **{name: spec[name] for name in _being_created(live) & spec.keys()}}
    for text in wanted.lifecycle.ignoreChanges:
        path = parse(model, text)
        kept = keeping(model, spec, kept_of, path)
        if kept == spec:
            continue
        spec, top = kept, path[0]
        body.pop(top, None)
        body |= to_wire(model, {top: spec[top]} if top in spec else {})
    return replace(wanted, spec=spec, body=body, origin=wanted)


def _being_created(live: Live) -> frozenset[str]:
    """Properties that do not have their value of the manifest yet, because an object begins without it: a schedule that
    is disabled before it may run, a job that is to end with its tasks before they are all in and may run."""
    match live:
        case LiveSchedule() if (live.spec.get("schedule") or {}).get("doNotRunUntil") == NOT_YET:
            return frozenset({"schedule"})
        case LiveJob(mark=Mark(later=True)):
            return frozenset({"onAllTasksComplete"})
    return frozenset()
