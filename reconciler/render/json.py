"""Plans for programs, in the names Terraform's users know."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from reconciler.diff import FieldChange
from reconciler.guards import Guard
from reconciler.lifecycle.steps import Verb
from reconciler.planning import Entry, Plan
from reconciler.render.guards import guards_document
from reconciler.render.mask import Mask
from reconciler.render.text import change_counts, kind_of_change, step_text
from reconciler.saved import FORMAT_VERSION, KIND

_ACTIONS: Final = {
    "": ["no-op"],
    "add": ["create"],
    "change": ["update"],
    "end": ["delete"],
    "replace": ["delete", "create"],
}


def plan_json(plan: Plan, target: str, guards: Sequence[Guard] = (), apply: Mapping[str, Any] | None = None) -> str:
    """The plan as one JSON document: `resource_changes` has every object, `resource_drift` those changed behind us, and
    `apply` is what `reconciler apply FILE` reads."""
    document = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "target": target,
        "stack": plan.stack,
        "digest": plan.digest,
        "summary": change_counts(plan),
        "resource_changes": [_entry(plan, entry) for entry in plan.entries.values()],
        "resource_drift": [_entry(plan, entry) for entry in plan.entries.values() if entry.drift and entry.changes],
        "blocked": [
            {"address": entry.address, "reason": entry.blocked.reason, "consent": entry.blocked.consent or None}
            for entry in plan.blocked
            if entry.blocked
        ],
        "guards": guards_document(guards),
        **({"apply": apply} if apply is not None else {}),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _entry(plan: Plan, entry: Entry) -> dict[str, Any]:
    wanted, live = entry.wanted, entry.live
    change, mask = kind_of_change(entry), Mask.of(entry)
    actions = ["terminate"] if entry.verbs == (Verb.TERMINATE,) else _ACTIONS[change]
    return {
        "address": entry.address,
        "kind": entry.key.kind,
        "name": entry.address.partition("/")[2],
        "change": {
            "actions": actions,
            "before": mask.live(live.spec) if live else None,
            "after": mask.wanted(wanted.spec) if wanted else None,
            "fields": [_field(mask, field) for field in entry.changes],
        },
        "action_reason": entry.actions[0].reason if entry.actions else getattr(entry.step, "reason", None),
        "road": [step_text(step) for step in entry.road],
        "after": [other.address for other in plan.waits_for(entry.key)],
        "notes": list(entry.notes),
        "source": str(wanted.source) if wanted else None,
    }


def _field(mask: Mask, field: FieldChange) -> dict[str, Any]:
    before, after = mask.both(field)
    return {"path": field.name, "before": before, "after": after, "kind": field.kind}
