"""Manifests: files of YAML documents in, one `Desired` out, or every mistake of every file at once.

The command line calls `load` before anything else. The way of a document, one module a step: `files` finds and reads
the text, `text` makes plain values of it, `overlay` lays documents over those of their bases, `variables` and `secrets`
put values in for references, `groups` makes tasks of templates, the models validate, `explain` says in plain words
what they refused, `checks` compares documents and tasks with one another.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from reconciler.errors import Finding, ManifestErrors
from reconciler.manifest import annotations, checks, division, files, overlay, secrets, text, words
from reconciler.manifest.explain import explain
from reconciler.manifest.groups import Groups, expand
from reconciler.manifest.text import Document, Raw
from reconciler.manifest.variables import Variables
from reconciler.model import duration
from reconciler.model.consent import Consent
from reconciler.model.desired import (
    QUOTAS,
    SPECS,
    Desired,
    GuardSettings,
    Key,
    Kind,
    Retention,
    Source,
    Stack,
    Task,
    Wanted,
    Window,
)
from reconciler.model.document import (
    API_VERSION,
    MANIFESTS,
    JobLifecycle,
    JobManifest,
    JobScheduleManifest,
    Metadata,
    PoolLifecycle,
    PoolManifest,
    ScheduleLifecycle,
    StackManifest,
)
from reconciler.model.groups import Group, Tasks, depends_on
from reconciler.model.table import normalise, write_only
from reconciler.model.task import TaskSpec

__all__ = ["load", "load_all", "load_some", "mistakes", "read_variables"]

UNNAMED = "default"
"""The stack of a source that nothing says is complete."""


def load(paths: Sequence[str], *, variables: Mapping[str, str], environment: Mapping[str, str]) -> Desired:
    """What the manifests under *paths* ask for.

    A path is a file, a folder (walked recursively for `*.yaml` and `*.yml`) or `-` for standard input. *variables* are
    the values given by the caller, *environment* answers `${env.NAME}`. A folder without manifests is no mistake.
    Raises ManifestErrors with all findings, sorted by file, line and column. The order of files and documents has no
    meaning.
    """
    return _load(files.read(paths), {}, variables, environment).desired()


def load_all(
    paths: Sequence[str], *, variables: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[Desired, ...]:
    """What the manifests under *paths* ask for, one Desired for each Stack, sorted by its name.

    A Stack owns the objects in its folder and below, down to the folders of other Stacks. With one Stack, or none, this
    is `load`. A value given to a variable goes to each Stack that declares it. Raises ManifestErrors with the findings
    of all of them.
    """
    stacks, findings = load_some(paths, variables=variables, environment=environment)
    if findings:
        raise ManifestErrors(findings)
    return stacks


def load_some(
    paths: Sequence[str], *, variables: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[tuple[Desired, ...], list[Finding]]:
    """The same, with the findings beside it: where there are any, the objects without a mistake, for others to look at
    in the same run."""
    source = files.read(paths)
    parsed = {file.path: text.parse(file) for file in source.files}
    owners = division.folders(source, parsed)
    if len(owners) < 2:
        one = _load(source, parsed, variables, environment)
        return (one.readable(),), [*one.findings, *one.undeclared]
    parts, findings = division.divided(source, owners)
    loaded = [_load(part, parsed, variables, environment) for part in parts]
    findings += division.everywhere([one.undeclared for one in loaded])
    findings += division.same_names([one.document for one in loaded if one.document is not None])
    findings += (finding for one in loaded for finding in one.findings)
    stacks = sorted((one.readable() for one in loaded), key=lambda one: one.stack.name)
    names = frozenset(one.stack.name for one in stacks)
    return tuple(replace(one, beside=names - {one.stack.name}) for one in stacks), findings


@dataclass(frozen=True)
class _Loaded:
    """What one Stack and its objects are, as far as they could be read. *undeclared* are findings about values that
    were given to variables it does not declare, *document* is the Stack's."""

    stack: Stack | None
    objects: Mapping[Key, Wanted]
    findings: list[Finding]
    undeclared: list[Finding]
    document: Document | None
    consents: tuple[Consent, ...] = ()

    def desired(self) -> Desired:
        """All of it. Raises ManifestErrors."""
        if self.findings or self.undeclared or self.stack is None:
            raise ManifestErrors([*self.findings, *self.undeclared])
        return self.readable()

    def readable(self) -> Desired:
        """What has no mistake in it."""
        stack = self.stack if self.stack is not None else Stack(UNNAMED, prunes=False)
        return Desired(stack, {key: self.objects[key] for key in sorted(self.objects)}, self.consents)


def _load(
    read: files.Source,
    parsed: Mapping[str, text.Parsed],
    variables: Mapping[str, str],
    environment: Mapping[str, str],
) -> _Loaded:
    source = overlay.read(read, parsed)
    findings = list(source.findings)
    stacks = [document for document in source.documents if document.kind == "Stack"]
    scope = Variables.of(stacks, variables, environment, all_read=source.complete, baseless=source.baseless)
    findings += scope.unfit(stacks)
    for document in source.documents:
        findings += scope.substitute(document)
    named = stacks[-1] if stacks else None
    documents = overlay.with_defaults(overlay.merge(source.layers))
    if source.baseless:
        findings += chain.from_iterable(_patch(document, environment) for document in documents)
        return _Loaded(None, {}, [*findings, *checks.between(documents)], scope.undeclared(), named)
    stack: Stack | None = None
    objects: dict[Key, Wanted] = {}
    consents: list[Consent] = []
    for document in documents:
        if document.kind in MANIFESTS:
            findings += secrets.resolve(document, MANIFESTS[document.kind], environment)
        groups = expand(document)
        findings += groups.findings
        manifest, wrong = _validate(document, groups)
        findings += wrong
        given, wrong = annotations.consents(document)
        consents += given
        findings += wrong
        if isinstance(manifest, StackManifest):
            stack = _stack(document, manifest)
        elif isinstance(manifest, (PoolManifest, JobManifest, JobScheduleManifest)):
            wanted = _wanted(document, manifest, groups)
            objects[wanted.key] = wanted
        elif (rough := _rough(document)) is not None:
            objects.setdefault(rough.key, rough)
    findings += checks.between(documents)
    if not stacks and source.complete:
        stack, wrong = _unwritten_stack(source.folder)
        findings += wrong
    return _Loaded(stack, objects, findings, scope.undeclared(), named, tuple(consents))


def mistakes(text: str) -> list[Finding]:
    """What is wrong with a text of manifests that stands in no file yet, whatever its variables and secrets will be."""
    source = files.Source(files=[files.File("", text)])
    return sorted(set(_load(source, {}, {}, _AnySetting()).findings))


class _AnySetting(Mapping[str, str]):
    """An environment in which every variable is set."""

    def __getitem__(self, name: str) -> str:
        return "https://to-be-set"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read_variables(path: str) -> dict[str, str]:
    """The variables of a file: one YAML mapping from names to texts, numbers and booleans, each as it is written.

    Raises ManifestErrors with every finding of the file.
    """
    source = files.read([path])
    parsed = [text.parse(file) for file in source.files]
    findings = [*source.findings, *(finding for one in parsed for finding in one.findings)]
    documents = [document for one in parsed for document in one.documents]
    if len(documents) > 1:
        findings.append(Finding(files.shown(path), 0, 0, "", f"expected one document, found {len(documents)}"))
    values: dict[str, str] = {}
    for document in documents:
        for name, value in document.value.items():
            line, column = document.position((name,))
            if isinstance(value, dict | list) or value is None:
                found = document.found((name,), value)
                findings.append(Finding(document.file.path, line, column, name, f"expected a text, found {found}"))
            else:
                values[name] = document.written((name,))
    if findings:
        raise ManifestErrors(findings)
    return values


def _validate(document: Document, groups: Groups) -> tuple[object, list[Finding]]:
    """The document as its model, or None and what is wrong with it. Checks across fields are made in both cases."""
    model = MANIFESTS.get(document.kind) if document.kind is not None else None
    if model is None:
        return None, _kind(document)
    wrong = checks.within(document, model, groups)
    try:
        manifest = model.model_validate(document.value)
    except ValidationError as error:
        return None, wrong + explain(document, model, error)
    return (None if wrong else manifest), wrong


def _patch(document: Document, environment: Mapping[str, str]) -> list[Finding]:
    """What is wrong with a document that may be laid over another, which is missing: that may have what is absent here,
    and the part that is to be taken away."""
    model = MANIFESTS.get(document.kind) if document.kind is not None else None
    if model is None:
        return _kind(document)
    if overlay.PATCH in document.value:
        return []
    findings = secrets.resolve(document, model, environment) + checks.alone(document, model)
    try:
        model.model_validate(document.value)
    except ValidationError as error:
        findings += explain(document, model, error, is_patch=True)
    return findings


def _kind(document: Document) -> list[Finding]:
    value = document.value.get("kind")
    if document.is_refused(("kind",)):
        return []
    if "kind" not in document.value:
        hint = "" if "apiVersion" in document.value else f" (a manifest begins with apiVersion: {API_VERSION})"
        return [document.finding(("kind",), f"expected a value for 'kind', found none{hint}")]
    known = ", ".join(sorted(MANIFESTS))
    hint = words.did_you_mean(value, MANIFESTS) if value != "Plan" else ": a saved plan is for `reconciler apply`"
    return [document.finding(("kind",), f"expected one of {known}, found {document.found(('kind',), value)}{hint}")]


def _stack(document: Document, manifest: StackManifest) -> Stack:
    account, guards, kept = manifest.spec.account, manifest.spec.guards, manifest.spec.store.retention
    location = manifest.spec.store.location
    if location is not None and "://" not in location:
        location = str((document.folder(("spec", "store", "location")) or Path()) / location)
    return Stack(
        name=manifest.metadata.name,
        prunes=True,
        endpoint=account.endpoint if account else None,
        account=account.name if account else None,
        account_key=account.key if account else None,
        max_deletes=manifest.spec.limits.deletes,
        digest_key=manifest.spec.digestKey,
        quotas={name: limit for name in QUOTAS if (limit := getattr(manifest.spec.limits, name)) is not None},
        refuses_other_pools=manifest.spec.undeclaredPools == "Refuse",
        guards=GuardSettings(
            guards.deletes.share, guards.deletes.count, guards.emptySource == "Ask", guards.taskLoss == "Ask"
        ),
        source=Source(document.file.path, *document.named_at),
        windows=tuple(
            Window(one.cron, duration.ticks(one.duration) / duration.TICKS_PER_SECOND, one.timeZone)
            for one in manifest.spec.changeWindows
        ),
        store=location,
        retention=Retention(kept.days, kept.receipts, kept.logsMegabytes * 2**20, kept.journalMegabytes * 2**20),
    )


def _unwritten_stack(folder: str | None) -> tuple[Stack | None, list[Finding]]:
    """The stack where no document names one: after the one folder given, else `default`, which never prunes."""
    if folder is None:
        return Stack(UNNAMED, prunes=False), []
    name = os.path.basename(os.path.abspath(folder))  # noqa: PTH100, PTH119 - pathlib keeps "..", which names nothing
    try:
        Metadata(name=name)
    except ValidationError:
        expected = "expected a Stack document, or a folder whose name can serve as the stack's name"
        limits = "1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'"
        return None, [Finding(files.shown(folder), 0, 0, "", f"{expected} ({limits}), found {words.quoted(name)}")]
    return Stack(name, prunes=True), []


def _wanted(document: Document, manifest: PoolManifest | JobManifest | JobScheduleManifest, groups: Groups) -> Wanted:
    kind = Kind(manifest.kind.lower())
    raw = document.value
    spec, body = normalise(SPECS[kind], raw["spec"]), _without_nulls(raw["spec"])
    return Wanted(
        key=Key.of(kind, manifest.metadata.name),
        name=manifest.metadata.name,
        spec=spec,
        written=normalise(SPECS[kind], raw["spec"], fill=False),
        body=body,
        lifecycle=manifest.lifecycle,
        source=Source(document.file.path, *document.named_at),
        tasks=_tasks(raw, groups.groups),
        secrets=write_only(SPECS[kind], body),
        secret_paths=secrets.normal_paths(SPECS[kind], raw["spec"], document.secrets),
        hidden=secrets.setting_names(document),
    )


def _rough(document: Document) -> Wanted | None:
    """What can be read of an object that has mistakes: for lint, which finds others of it in the same run."""
    model = MANIFESTS.get(document.kind or "")
    name, spec, tasks = document.at(("metadata", "name")), document.at(("spec",)), document.at(("tasks",))
    if model is None or model is StackManifest or not isinstance(name, str) or not isinstance(spec, dict):
        return None
    # Tasks may depend on those of groups, which cannot be made here.
    items = tasks if isinstance(tasks, list) and "taskGroups" not in document.value else []
    kind = Kind(str(document.kind).lower())
    return Wanted(
        key=Key.of(kind, name),
        name=name,
        spec={},
        written={},
        body=_without_nulls(spec),
        lifecycle={Kind.POOL: PoolLifecycle, Kind.JOB: JobLifecycle, Kind.JOB_SCHEDULE: ScheduleLifecycle}[kind](),
        source=Source(document.file.path, *document.named_at),
        tasks={str(number): _rough_task(item) for number, item in enumerate(items)},
    )


def _rough_task(item: object) -> Task:
    body = _without_nulls(item) if isinstance(item, dict) else {}
    return Task(str(body.get("id", "")), {}, body)


def _tasks(raw: Raw, groups: list[Group]) -> Tasks:
    """Listed tasks, groups, and last the merge task, which depends on all others."""
    listed = [_task(item) for item in raw.get("tasks") or ()]
    merge = raw.get("mergeTask")
    if merge is None:
        return Tasks(listed, *groups)
    names = chain((task.name for task in listed), *(group.names() for group in groups))
    return Tasks(listed, *groups, [_task({**merge, "dependsOn": depends_on(names)})])


def _task(raw: Raw) -> Task:
    return Task(raw["id"], normalise(TaskSpec, raw), _without_nulls(raw))


def _without_nulls(raw: Raw) -> Raw:
    """A null in a manifest is an absent line, and is not sent."""
    return {name: _without_null(value) for name, value in raw.items() if value is not None}


def _without_null(value: object) -> object:
    if isinstance(value, dict):
        return _without_nulls(value)
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value
