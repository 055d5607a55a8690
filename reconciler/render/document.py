"""The shape of a plan as JSON: one declaration, from which come the type of what `plan_json` returns and the JSON
Schema `schemas/plan.schema.json`.

Terraform's names where it has them. Names are only ever added within one major `format_version`; a reader has to
ignore those that it does not know. null always stands for "not known" or "none", as the description says.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict


class FieldDocument(TypedDict):
    """One property that is changed."""

    path: Annotated[str, Field(description="Where it is, with dots; items of keyed lists by their key.")]
    before: Annotated[Any, Field(description="Its value in the account; null where it is not set. Secrets are masked.")]
    after: Annotated[Any, Field(description="Its value in the manifest; null where it is not set. Secrets are masked.")]
    kind: Annotated[str, Field(description="What the change takes: live, resize, autoscale, fixed, and others.")]


class ChangeDocument(TypedDict):
    """What becomes of one object."""

    actions: Annotated[
        list[Literal["no-op", "create", "update", "terminate", "delete"]],
        Field(description="As Terraform has them, and terminate; a replacement is delete and create."),
    ]
    before: Annotated[dict[str, Any] | None, Field(description="The object in the account; null where there is none.")]
    after: Annotated[dict[str, Any] | None, Field(description="What its manifest says; null where it has none.")]
    fields: Annotated[list[FieldDocument], Field(description="The properties that are changed.")]


class StepDocument(TypedDict):
    """One step of a road."""

    kind: Annotated[Literal["action", "wait", "done", "blocked"], Field(description="What sort of step it is.")]
    verb: Annotated[str | None, Field(description="The request, of an action; else null.")]
    text: Annotated[str, Field(description="The step in words.")]
    reason: Annotated[str | None, Field(description="Why, of what is no wait.")]
    seconds: Annotated[int | None, Field(description="How long a wait may last, where a limit is documented.")]


class TaskLossDocument(TypedDict):
    """Tasks that are lost."""

    running: Annotated[int | None, Field(description="Running tasks that are cut off; null: not known.")]
    active: Annotated[int | None, Field(description="Waiting tasks that never run; null: not known.")]
    restarts: Annotated[bool, Field(description="Whether they run from their beginning after all.")]
    finished: Annotated[int | None, Field(description="Finished tasks that run again; null: not known.")]


class PlaceDocument(TypedDict):
    """A node."""

    node: Annotated[str, Field(description="Its id.")]
    why: Annotated[str | None, Field(description="Why the release is not certain there.")]


class ReleaseDocument(TypedDict):
    """On which nodes the release task of a job runs."""

    job: Annotated[str, Field(description="The address of the job.")]
    known: Annotated[bool, Field(description="false: it was not read which nodes owe it, and the lists are empty.")]
    runs: Annotated[list[PlaceDocument], Field(description="Nodes that run it.")]
    uncertain: Annotated[list[PlaceDocument], Field(description="Nodes of which nobody can tell.")]
    lost: Annotated[list[PlaceDocument], Field(description="Nodes that do not run it.")]
    at_most: Annotated[int | None, Field(description="How many of the uncertain ones may lose it; null: all of them.")]


class FileLossDocument(TypedDict):
    """Files that are erased on nodes."""

    tasks: Annotated[int | None, Field(description="Tasks whose directories are erased; null: not known.")]
    nodes: Annotated[
        int | None, Field(description="Nodes that lose the directories of preparation and release; null: not known.")
    ]
    whole_nodes: Annotated[int | None, Field(description="Nodes that lose everything; null: not known.")]
    kept: Annotated[str | None, Field(description="What is fetched before, in words.")]


class WaitDocument(TypedDict):
    """How long the road, and what comes first, takes at most."""

    seconds: Annotated[int | None, Field(description="The limit of all of it; null where a part has none.")]
    limited_seconds: Annotated[int, Field(description="The sum of what has a documented limit.")]
    unlimited: Annotated[list[str], Field(description="What has no known limit.")]


class ForecastDocument(TypedDict):
    """What carrying out the road takes away. It decides nothing, and what was not read is null."""

    tasks: Annotated[TaskLossDocument | None, Field(description="Tasks that are lost; null: none.")]
    releases: Annotated[list[ReleaseDocument], Field(description="Releases that run, or are lost.")]
    files: Annotated[FileLossDocument | None, Field(description="What is erased; null: nothing.")]
    jobs: Annotated[list[str], Field(description="Addresses of a schedule's jobs that go with it.")]
    wait: Annotated[WaitDocument | None, Field(description="The longest wait; null: none.")]
    unread: Annotated[list[str], Field(description="Why something is not known.")]


class BlockDocument(TypedDict):
    """Why a person has to act."""

    reason: Annotated[str, Field(description="In words.")]
    consent: Annotated[str | None, Field(description="The flags that allow it; null where none does.")]
    rule: Annotated[str | None, Field(description="The guard that says so; null where nothing can be consented to.")]


class BlockedDocument(BlockDocument):
    """An object that a person has to act for."""

    address: Annotated[str, Field(description="Its address.")]


class SourceDocument(TypedDict):
    """Where a manifest is."""

    path: Annotated[str, Field(description="The file.")]
    line: Annotated[int, Field(description="Counted from 1.")]
    column: Annotated[int, Field(description="Counted from 1.")]


class ResourceDocument(TypedDict):
    """One object of the plan."""

    address: Annotated[str, Field(description="Such as job/nightly.")]
    kind: Annotated[Literal["pool", "job", "jobschedule"], Field(description="What it is.")]
    name: Annotated[str, Field(description="Its Batch id.")]
    change: Annotated[ChangeDocument, Field(description="What becomes of it.")]
    action_reason: Annotated[str | None, Field(description="Why, in words.")]
    drift: Annotated[bool, Field(description="Whether it was changed behind our back.")]
    road: Annotated[list[str], Field(description="The steps from here to the end, in words.")]
    steps: Annotated[list[StepDocument], Field(description="The same, in parts.")]
    after: Annotated[list[str], Field(description="Addresses of objects that come first.")]
    notes: Annotated[list[str], Field(description="What needs no action and should be known.")]
    forecast: Annotated[ForecastDocument | None, Field(description="null where nothing happens.")]
    blocked: Annotated[BlockDocument | None, Field(description="null where nothing is in the way.")]
    source: Annotated[str | None, Field(description="FILE:LINE of its manifest; null where it has none.")]
    source_position: Annotated[SourceDocument | None, Field(description="The same, in parts.")]


class SummaryDocument(TypedDict):
    """Objects by what becomes of them; one that is replaced counts in each that it goes through."""

    add: int
    change: int
    terminate: int
    delete: int


class QuotaDocument(TypedDict):
    """The use of one quota of the account that the Stack names."""

    name: Annotated[str, Field(description="As in spec.limits of the Stack.")]
    limit: Annotated[int, Field(description="The quota.")]
    before: Annotated[int | None, Field(description="Used now; null: not known.")]
    after: Annotated[int | None, Field(description="Used when the plan was carried out; null: not known.")]
    note: Annotated[str | None, Field(description="What the numbers do not say.")]


class GuardDocument(TypedDict):
    """A rule that keeps something from happening until a person has consented."""

    rule: Annotated[str, Field(description="Its name.")]
    stops: Annotated[bool, Field(description="Whether nothing of the plan may run; else only these objects stay.")]
    numbers: Annotated[str, Field(description="What would happen, and what the limit is.")]
    setting: Annotated[str, Field(description="Where the rule is set.")]
    override: Annotated[str, Field(description="What allows it, as it is to be written.")]
    annotation: Annotated[str | None, Field(description="The same as a line of a manifest; null: there is none.")]
    addresses: Annotated[list[str], Field(description="The objects concerned.")]


class PlanDocument(TypedDict):
    """A plan. No value in it is a secret."""

    format_version: Annotated[
        str, Field(description="MAJOR.MINOR: readers of a major version understand every minor one.")
    ]
    kind: Literal["Plan"]
    target: Annotated[str, Field(description="The account, as the first line of every command says it.")]
    stack: Annotated[str, Field(description="The ownership set.")]
    digest: Annotated[str, Field(description="Of what people approve: addresses, verbs, changes, incarnations.")]
    summary: SummaryDocument
    resource_changes: Annotated[list[ResourceDocument], Field(description="Every object that is declared or ours.")]
    resource_drift: Annotated[list[ResourceDocument], Field(description="Those that were changed behind our back.")]
    blocked: Annotated[list[BlockedDocument], Field(description="What a person has to act for.")]
    unread: Annotated[dict[str, str], Field(description="Kinds that could not be listed, and why.")]
    guards: Annotated[list[GuardDocument], Field(description="Rules that are at work on the plan.")]
    quotas: Annotated[list[QuotaDocument], Field(description="Those that the Stack names.")]
    apply: NotRequired[Annotated[dict[str, Any], Field(description="For `reconciler apply FILE` alone.")]]
