"""Plans for programs, in the names Terraform's users know. The shape is declared in `reconciler.render.document`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from reconciler.diff import FieldChange
from reconciler.forecast import FileLoss, Forecast, LongestWait, ObjectForecast, Place, Release, TaskLoss
from reconciler.guards import Guard
from reconciler.lifecycle.steps import Action, Blocked, Done, Step, Verb, Wait
from reconciler.model.secrecy import without_keys
from reconciler.planning import Entry, Plan
from reconciler.render.document import (
    BlockDocument,
    ChangeDocument,
    FieldDocument,
    FileLossDocument,
    ForecastDocument,
    PlaceDocument,
    PlanDocument,
    QuotaDocument,
    ReleaseDocument,
    ResourceDocument,
    StepDocument,
    SummaryDocument,
    TaskLossDocument,
    WaitDocument,
)
from reconciler.render.guards import guards_document
from reconciler.render.mask import Mask
from reconciler.render.text import change_counts, kind_of_change, step_text, why_text
from reconciler.saved import FORMAT_VERSION, KIND

_Actions = Literal["no-op", "create", "update", "terminate", "delete"]
_ACTIONS: Final[Mapping[str, list[_Actions]]] = {
    "": ["no-op"],
    "add": ["create"],
    "change": ["update"],
    "end": ["delete"],
    "replace": ["delete", "create"],
}
NO_FORECAST: Final = Forecast()


def plan_json(
    plan: Plan,
    target: str,
    forecast: Forecast = NO_FORECAST,
    guards: Sequence[Guard] = (),
    apply: Mapping[str, Any] | None = None,
) -> PlanDocument:
    """The plan as a mapping: `resource_changes` has every object, `resource_drift` those changed behind our back, and
    `apply` is what `reconciler apply FILE` reads."""
    resources = {key: _resource(plan, entry, forecast) for key, entry in plan.entries.items()}
    document: PlanDocument = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "target": target,
        "stack": plan.stack,
        "digest": plan.digest,
        "summary": _summary(plan),
        "resource_changes": list(resources.values()),
        "resource_drift": [resources[key] for key, entry in plan.entries.items() if entry.drift and entry.changes],
        "blocked": [
            {"address": entry.address, **block} for entry in plan.blocked if (block := _block(entry)) is not None
        ],
        "unread": {str(kind): without_keys(why) for kind, why in plan.unread.items()},
        "quotas": [
            QuotaDocument(name=use.name, limit=use.limit, before=use.before, after=use.after, note=use.note or None)
            for use in forecast.quotas
        ],
        "guards": guards_document(guards),
    }
    if apply is not None:
        document["apply"] = dict(apply)
    return document


def dump(document: Mapping[str, Any]) -> str:
    """A document as it is printed, and written to files."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def _summary(plan: Plan) -> SummaryDocument:
    counts = change_counts(plan)
    return {
        "add": counts["add"],
        "change": counts["change"],
        "terminate": counts["terminate"],
        "delete": counts["delete"],
    }


def _resource(plan: Plan, entry: Entry, forecast: Forecast) -> ResourceDocument:
    wanted, live, mask = entry.wanted, entry.live, Mask.of(entry)
    actions: list[_Actions] = ["terminate"] if entry.verbs == (Verb.TERMINATE,) else _ACTIONS[kind_of_change(entry)]
    change: ChangeDocument = {
        "actions": actions,
        "before": mask.live(live.spec) if live else None,
        "after": mask.wanted(wanted.spec) if wanted else None,
        "fields": [_field(mask, field) for field in entry.changes],
    }
    source = wanted.source if wanted else None
    return {
        "address": entry.address,
        "kind": entry.key.kind.value,
        "name": entry.address.partition("/")[2],
        "change": change,
        "action_reason": without_keys(_reason(entry)) or None,
        "drift": entry.drift,
        "road": [without_keys(step_text(step)) for step in entry.road],
        "steps": [_step(step) for step in entry.road],
        "after": [other.address for other in plan.waits_for(entry.key)],
        "notes": [without_keys(note) for note in entry.notes],
        "forecast": _forecast(forecast.objects[entry.key]) if entry.key in forecast.objects else None,
        "blocked": _block(entry),
        "source": str(source) if source else None,
        "source_position": {"path": source.path, "line": source.line, "column": source.column} if source else None,
    }


def _reason(entry: Entry) -> str:
    if entry.actions:
        return why_text(entry) or entry.actions[0].reason
    return str(getattr(entry.step, "reason", ""))


def _field(mask: Mask, field: FieldChange) -> FieldDocument:
    before, after = mask.both(field)
    return {"path": field.name, "before": before, "after": after, "kind": field.kind.value}


def _step(step: Step) -> StepDocument:
    text = without_keys(step_text(step))
    match step:
        case Action():
            reason = without_keys(step.reason)
            return {"kind": "action", "verb": step.verb.value, "text": text, "reason": reason, "seconds": None}
        case Wait():
            return {"kind": "wait", "verb": None, "text": text, "reason": None, "seconds": step.seconds}
        case Done():
            return {"kind": "done", "verb": None, "text": text, "reason": without_keys(step.reason), "seconds": None}
        case Blocked():
            reason = without_keys(step.reason)
            return {"kind": "blocked", "verb": None, "text": text, "reason": reason, "seconds": None}


def _block(entry: Entry) -> BlockDocument | None:
    if entry.blocked is None:
        return None
    rule = entry.blocked.rule
    return {
        "reason": without_keys(entry.blocked.reason),
        "consent": entry.blocked.consent or None,
        "rule": rule.value if rule is not None else None,
    }


def _forecast(found: ObjectForecast) -> ForecastDocument:
    return {
        "tasks": _tasks(found.tasks) if found.tasks is not None else None,
        "releases": [_release(release) for release in found.releases],
        "files": _files(found.files) if found.files is not None else None,
        "jobs": list(found.children),
        "wait": _wait(found.wait) if found.wait is not None else None,
        "unread": [without_keys(reason) for reason in found.unread],
    }


def _tasks(loss: TaskLoss) -> TaskLossDocument:
    return {
        "running": loss.running,
        "active": loss.waiting,
        "restarts": loss.restarts,
        "finished": loss.finished,
    }


def _files(loss: FileLoss) -> FileLossDocument:
    return {"tasks": loss.tasks, "nodes": loss.nodes, "whole_nodes": loss.whole, "kept": loss.kept or None}


def _wait(wait: LongestWait) -> WaitDocument:
    return {
        "seconds": None if wait.unlimited else wait.seconds,
        "limited_seconds": wait.seconds,
        "unlimited": list(wait.unlimited),
    }


def _release(release: Release) -> ReleaseDocument:
    return {
        "job": release.job,
        "known": release.is_known,
        "runs": _places(release.runs),
        "uncertain": _places(release.uncertain),
        "lost": _places(release.lost),
        "at_most": release.at_most,
    }


def _places(places: tuple[Place, ...]) -> list[PlaceDocument]:
    return [{"node": place.node, "why": place.why or None} for place in places]
