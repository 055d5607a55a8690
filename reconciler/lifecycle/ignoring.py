"""`lifecycle.ignoreChanges`: a manifest as it counts beside its live object."""

from dataclasses import replace

from reconciler.model.desired import SPECS, Wanted
from reconciler.model.paths import keeping, parse
from reconciler.model.table import to_wire
from reconciler.observed import Live


def beside(wanted: Wanted | None, live: Live | None) -> Wanted | None:
    """The manifest with the live values at the paths it ignores: nothing differs there, and an update that has to
    send the whole of an object keeps its ignored part. At creation the manifest counts as it stands."""
    if wanted is None or live is None or not wanted.lifecycle.ignoreChanges:
        return wanted
    model = SPECS[wanted.key.kind]
    spec, body = wanted.spec, dict(wanted.body)
    for text in wanted.lifecycle.ignoreChanges:
        path = parse(model, text)
        kept = keeping(model, spec, live.spec, path)
        if kept == spec:
            continue
        spec, top = kept, path[0]
        body.pop(top, None)
        body |= to_wire(model, {top: spec[top]} if top in spec else {})
    return replace(wanted, spec=spec, body=body, origin=wanted)
