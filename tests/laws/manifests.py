"""Valid bodies of every manifest type, made from the field table, and what the service would return for them.

`specs(model)` follows the types, limits and choices that the models declare, so a new field joins every law by being
declared; `REPAIRS` says, for each type with rules between its properties, how a body that breaks them is mended.
`answers(model, body)` respells a body as the service does: defaults filled in, letter case and durations rewritten,
keyed lists in another order, secrets left out. `edits(model, body)` changes one written property.

Load it with `importlib` as `tests/laws/test_table.py` does: tests import nothing from each other's folders.
"""

import types
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from reconciler.model import (
    containers,
    disks,
    duration,
    files,
    job,
    machines,
    moment,
    network,
    pool,
    schedule,
    task,
    upgrades,
    users,
)
from reconciler.model import types as scalars
from reconciler.model.field import ABSENT, SERVICE_CHOSEN, Compare, OneOf, Paired, Spec
from reconciler.model.table import Field, table

Body = dict[str, Any]
Path = tuple[str, ...]

SECRET: Final = "-".join(("hush", "7f3a", "9c0d"))  # in pieces: hypothesis draws the constants that it finds
"""Begins every secret, so that one that leaks can be found."""
PRINTABLE: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;_-+/()[]{}#'\"äßλ語"
"""No `$`, which asks for a variable in manifests."""
FOLDABLE: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

ids = st.text("abcdefgABCDEFG0123456789-_", min_size=1, max_size=12)
words = st.text(FOLDABLE, min_size=1, max_size=12)
paths = st.lists(st.text("abcxyz01", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join)
urls = st.builds("https://{}.example/{}?sig={}{}".format, st.sampled_from("abc"), paths, st.just(SECRET), words)
moments = st.builds(
    "{}-{:02}-{:02}T{:02}:{:02}:{:02}{}".format,
    st.integers(2026, 2040),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.sampled_from(["Z", ".5Z", ".1234567Z", "+02:00", "-11:30"]),
)


def lengths(least: int, most: int) -> st.SearchStrategy[str]:
    """Durations from *least* to *most* minutes, spelled in several ways."""
    minutes = st.integers(least, most)
    spelled = st.sampled_from(["PT{0}M", "PT{1}S", "PT0H{0}M", "P0DT{0}M0.0S"])
    return st.builds(lambda form, n: form.format(n, n * 60), spelled, minutes)


def _check(alias: Any) -> Any:
    """The validator behind a scalar of the manifests: what tells it from others of the same Python type."""
    return next(arg.func for arg in get_args(alias) if isinstance(arg, AfterValidator))


CHECKED: Final[Mapping[Any, st.SearchStrategy[Any]]] = {
    _check(scalars.BatchId): ids,
    _check(scalars.Duration): lengths(0, 100_000),
    _check(scalars.ReleaseTime): lengths(0, 15),
    _check(scalars.ResizeTimeout): lengths(5, 1000),
    _check(scalars.EvaluationInterval): lengths(5, 168 * 60),
    _check(scalars.Recurrence): lengths(1, 100_000),
    _check(scalars.Moment): moments,
    _check(scalars.MountPath): paths,
    _check(scalars.RelativePath): paths,
    _check(scalars.PoolPrefix): ids,
    _check(scalars.EndpointName): st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,8}[a-zA-Z0-9_]", fullmatch=True),
    _check(scalars.BackendPort): st.integers(1, 29_875) | st.integers(29_878, 65_535),
    _check(scalars.FrontendPort): st.integers(1, 49_999) | st.integers(55_001, 65_534),
    _check(scalars.PortRange): st.sampled_from(["*", "22", "100-200", "0-65535"]),
    _check(scalars.Formula): st.builds("$TargetDedicatedNodes={};".format, st.integers(0, 9)),
    _check(scalars.FileMode): st.sampled_from(["0770", "644", "0755", "1777"]),
    _check(scalars.ParallelTasks): st.just(-1) | st.integers(1, scalars.MOST),
    _check(scalars.VariableName): st.text("ABCDEFGabc_0123", min_size=1, max_size=8),
}


def specs(model: type[Spec], *, without: Collection[str] = (), dense: bool = False) -> st.SearchStrategy[Body]:
    """Valid bodies of *model* in wire form.

    *without* names properties to leave out, as dotted paths without positions (`startTask.containerSettings`), for
    targets that do not take them. *dense*: every property that may be there is.
    """
    return _bodies(model, (), frozenset(without), dense)


def _bodies(model: type[Spec], at: Path, without: frozenset[str], dense: bool) -> st.SearchStrategy[Body]:
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in table(model).items():
        here = (*at, name)
        if ".".join(here) in without:
            continue
        kind = required if field.required or dense else optional
        info = model.model_fields[name]
        # Deferred, so that a path of rare properties costs nothing until it is taken.
        kind[name] = st.deferred(lambda f=field, i=info, h=here: _values(f, i, h, without, dense))  # type: ignore[misc]
    made = st.fixed_dictionaries(required, optional=optional)
    chosen = _one_of(model, at, without, dense, made) if issubclass(model, OneOf) else made
    for base in model.__mro__:
        if base in REPAIRS:
            chosen = chosen.map(REPAIRS[base])
    return chosen


def _one_of(
    model: type[OneOf], at: Path, without: frozenset[str], dense: bool, made: st.SearchStrategy[Body]
) -> st.SearchStrategy[Body]:
    """Exactly one of the properties that exclude one another."""
    allowed = [name for name in model.one_of if ".".join((*at, name)) not in without]

    def choose(name: str) -> st.SearchStrategy[Body]:
        value = _values(table(model)[name], model.model_fields[name], (*at, name), without, dense)
        return st.builds(
            lambda body, it: {**{k: v for k, v in body.items() if k not in model.one_of}, name: it}, made, value
        )

    return st.sampled_from(allowed).flatmap(choose)


def _values(field: Field, info: FieldInfo, at: Path, without: frozenset[str], dense: bool) -> st.SearchStrategy[Any]:
    if field.secret and field.below is None and not field.is_list:
        return urls if not field.write_only else _secrets(info)
    return _typed(info.annotation, list(info.metadata), field, at, without, dense)


def _secrets(info: FieldInfo) -> st.SearchStrategy[Any]:
    text = words.map(SECRET.__add__)
    is_object = any(get_origin(arm) is dict for arm in (info.annotation, *get_args(info.annotation)))
    return st.dictionaries(words, text, min_size=1, max_size=2) if is_object else text


def _typed(
    annotation: Any, limits: list[Any], field: Field, at: Path, without: frozenset[str], dense: bool
) -> st.SearchStrategy[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        (inner,) = (arm for arm in get_args(annotation) if arm is not type(None))
        return _typed(inner, limits, field, at, without, dense)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        for each in more:
            limits = [*limits, *(each.metadata if isinstance(each, FieldInfo) else [each])]
        return _typed(inner, limits, field, at, without, dense)
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin is list:
        return _lists(get_args(annotation)[0], field, at, without, dense)
    if origin is dict:
        return st.dictionaries(words, st.booleans() | st.integers(-9, 9) | words, max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return _bodies(annotation, at, without, dense)
    return _scalars(annotation, limits, field)


def _lists(inner: Any, field: Field, at: Path, without: frozenset[str], dense: bool) -> st.SearchStrategy[Any]:
    items = _typed(inner, [], field, at, without, dense)
    least = 1 if dense or field.required else 0
    key = field.keyed_by
    if key is not None:
        return st.lists(items, min_size=least, max_size=2, unique_by=lambda item: str(item[key]).lower())
    return st.lists(items, min_size=least, max_size=2)


def _scalars(annotation: Any, limits: list[Any], field: Field) -> st.SearchStrategy[Any]:
    for limit in limits:
        if isinstance(limit, AfterValidator) and limit.func in CHECKED:
            return CHECKED[limit.func]
    bounds = {type(limit): limit for limit in limits}
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        low, high = bounds.get(Ge), bounds.get(Le)
        return st.integers(low.ge if low else -9, min(high.le if high else 9, scalars.MOST))
    assert annotation is str, f"no strategy for {annotation} ({field.name})"
    shortest, longest = bounds.get(MinLen), bounds.get(MaxLen)
    alphabet = FOLDABLE if field.compare is Compare.FOLDED else PRINTABLE
    low = shortest.min_length if shortest else 0
    return st.text(alphabet, min_size=low, max_size=min(longest.max_length if longest else 12, 12))


# How a body that breaks a rule between its properties is mended. Each takes and returns a body of its type.


def _image(body: Body) -> Body:
    own = next((name for name in ("virtualMachineImageId", "sharedGalleryImageId") if body.get(name)), None)
    if own:
        return {own: body[own]}
    market = {name: body.get(name) or name for name in ("publisher", "offer", "sku")}
    return market | ({"version": body["version"]} if body.get("version") else {})


def _file(body: Body) -> Body:
    if "httpUrl" in body:
        body = {**_but(body, "blobPrefix"), "filePath": body.get("filePath", "file")}
    return body


def _registry(body: Body) -> Body:
    return _but(body, "username", "password") if "identityReference" in body else body


def _pair(model: type[Paired]) -> Callable[[Body], Body]:
    def mend(body: Body) -> Body:
        return body if all(name in body for name in model.pair) else _but(body, *model.pair)

    return mend


def _scaled(body: Body) -> Body:
    if body.get("enableAutoScale"):
        body = _but(body, "resizeTimeout", "targetDedicatedNodes", "targetLowPriorityNodes")
        return {"autoScaleFormula": "$TargetDedicatedNodes=1;", **body}
    return _but(body, "autoScaleFormula", "autoScaleEvaluationInterval")


def _pool(body: Body) -> Body:
    body = _scaled(body)
    machine = body["virtualMachineConfiguration"]
    if "startTask" in body and "containerConfiguration" not in machine:
        body = {**body, "startTask": _but(body["startTask"], "containerSettings")}
    policy = body.get("upgradePolicy", {})
    if "rollingUpgradePolicy" in policy and machine.get("nodePlacementConfiguration", {}).get("policy") != "zonal":
        rolling = _but(policy["rollingUpgradePolicy"], "enableCrossZoneUpgrade")
        body = {**body, "upgradePolicy": {**policy, "rollingUpgradePolicy": rolling}}
    if "automaticOSUpgradePolicy" in policy and "windowsConfiguration" in machine:
        body = {**body, "virtualMachineConfiguration": _but(machine, "windowsConfiguration")}
    return body


def _machine(body: Body) -> Body:
    if "windowsConfiguration" in body or "licenseType" in body:
        body = {**body, "nodeAgentSKUId": "batch.node.windows amd64"}
    if body.get("securityProfile", {}).get("securityType") != "confidentialvm":
        body = {name: _plain_disk(value) if name == "osDisk" else value for name, value in body.items()}
        if "dataDisks" in body:
            body["dataDisks"] = [_plain_disk(disk) for disk in body["dataDisks"]]
    return body


def _plain_disk(disk: Body) -> Body:
    return {**disk, "managedDisk": _but(disk["managedDisk"], "securityProfile")} if "managedDisk" in disk else disk


def _endpoints(body: Body) -> Body:
    """Ports, ranges and priorities of their own for each endpoint."""
    pools = []
    for index, endpoint in enumerate(body["inboundNATPools"]):
        rules = endpoint.get("networkSecurityGroupRules", [])
        mended = [{**rule, "priority": 150 + 10 * index + at} for at, rule in enumerate(rules)]
        start = 1000 + 100 * index
        ports = {"backendPort": 22 + index, "frontendPortRangeStart": start, "frontendPortRangeEnd": start + 50}
        more = {"networkSecurityGroupRules": mended} if "networkSecurityGroupRules" in endpoint else {}
        pools.append({**endpoint, **ports, **more})
    return {"inboundNATPools": pools}


def _endpoint(body: Body) -> Body:
    return {**body, "frontendPortRangeStart": 1000, "frontendPortRangeEnd": 1050}


def _addresses(body: Body) -> Body:
    if body.get("provision") == "usermanaged":
        return {**body, "ipAddressIds": body.get("ipAddressIds") or ["/addresses/a"]}
    return body


def _network(body: Body) -> Body:
    hidden = body.get("publicIPAddressConfiguration", {}).get("provision") == "nopublicipaddresses"
    return _but(body, "endpointConfiguration") if hidden else body


def _rolling(body: Body) -> Body:
    batch, unhealthy = body.get("maxBatchInstancePercent"), body.get("maxUnhealthyInstancePercent")
    return {**body, "maxBatchInstancePercent": min(batch, unhealthy)} if batch and unhealthy else body


def _encrypted(body: Body) -> Body:
    return {**body, "targets": ["osdisk"]} if "customerManagedKey" in body else body


def _protected(body: Body) -> Body:
    return body if "securityType" in body else _but(body, "uefiSettings")


def _range(body: Body) -> Body:
    return {**body, "start": min(body["start"], body["end"]), "end": max(body["start"], body["end"])}


def _task(body: Body) -> Body:
    return _but(body, "requiredSlots") if "multiInstanceSettings" in body else body


def _job(body: Body) -> Body:
    """Release needs preparation, and the three have ids of their own."""
    body = body if "jobPreparationTask" in body else _but(body, "jobReleaseTask")
    taken = set()
    for name, default in (
        ("jobManagerTask", ""),
        ("jobPreparationTask", "jobpreparation"),
        ("jobReleaseTask", "jobrelease"),
    ):
        if name in body:
            if body[name].get("id", default).lower() in taken:
                body = {**body, name: {**body[name], "id": f"own-{name}"}}
            taken.add(body[name].get("id", default).lower())
    return body


def _plain_job(body: Body) -> Body:
    info = body["poolInfo"]
    if "autoPoolSpecification" in info:
        auto = {**info["autoPoolSpecification"], "poolLifetimeOption": "job"}
        return {**body, "poolInfo": {"autoPoolSpecification": auto}}
    return body


def _times(body: Body) -> Body:
    opens, closes = body.get("doNotRunUntil"), body.get("doNotRunAfter")
    return _but(body, "doNotRunAfter") if opens and closes and not moment.is_before(opens, closes) else body


def _item(body: Body) -> Body:
    return {**body, "name": "mine"} if body["name"].lower() == "reconciler" else body


def _but(body: Mapping[str, Any], *names: str) -> Body:
    return {name: value for name, value in body.items() if name not in names}


from reconciler.model.settings import MetadataItem  # noqa: E402

REPAIRS: Final[Mapping[Any, Callable[[Body], Body]]] = {
    MetadataItem: _item,
    containers.ContainerRegistryReference: lambda body: _registry(_pair(containers.ContainerRegistryReference)(body)),
    disks.DiskEncryptionConfiguration: _encrypted,
    files.ResourceFile: _file,
    job.JobProperties: _job,
    job.JobSpec: _plain_job,
    machines.ImageReference: _image,
    machines.SecurityProfile: _protected,
    machines.VirtualMachineConfiguration: _machine,
    network.InboundNatPool: _endpoint,
    network.NetworkConfiguration: _network,
    network.PoolEndpointConfiguration: _endpoints,
    network.PublicIPAddressConfiguration: _addresses,
    pool.PoolSpecification: _pool,
    schedule.JobScheduleConfiguration: _times,
    task.ExitCodeRangeMapping: _range,
    task.TaskIdRange: _range,
    task.TaskSpec: _task,
    upgrades.RollingUpgradePolicy: _rolling,
    users.LinuxUserConfiguration: _pair(users.LinuxUserConfiguration),
}

CHOSEN: Final[Mapping[tuple[type[Spec], str], Any]] = {
    (disks.DataDisk, "caching"): "none",
    (disks.OsDisk, "caching"): "ReadWrite",
    (disks.OsDisk, "diskSizeGB"): 30,
    (disks.ManagedDisk, "storageAccountType"): "standard_lrs",
    (machines.VMExtension, "typeHandlerVersion"): "1.0",
    (machines.VirtualMachineConfiguration, "osDisk"): {"ephemeralOSDiskSettings": {}, "caching": "ReadWrite"},
    (task.ExitOptions, "jobAction"): "terminate",
    (task.ExitOptions, "dependencyAction"): "block",
    (task.TaskConstraints, "maxTaskRetryCount"): 5,
    (users.UserAccount, "windowsUserConfiguration"): {"loginMode": "batch"},
}
"""What the service may put where a line is absent and no default is known."""


@st.composite
def answers(draw: st.DrawFn, model: type[Spec], body: Mapping[str, Any]) -> Body:
    """A body as the service may return it for *body*, at the top with read-only properties."""
    answer = draw(_answers(model, body))
    return {**answer, **{name: "made by the service" for name in sorted(model.read_only) if draw(st.booleans())}}


@st.composite
def _answers(draw: st.DrawFn, model: type[Spec], body: Mapping[str, Any]) -> Body:
    answer: Body = {}
    for field in table(model).values():
        value = body.get(field.name)
        if field.write_only:
            continue
        if value is None or value == []:
            value = _filled(draw, model, field, body)
        if value is not None:
            answer[field.name] = draw(_returned(field, value))
    return answer


def _filled(draw: st.DrawFn, model: type[Spec], field: Field, body: Mapping[str, Any]) -> Any:
    """What the service puts for an absent line; None where it leaves it out as well."""
    if not draw(st.booleans()):
        return None
    if not field.counts(body):
        return {"resizeTimeout": "PT15M"}.get(field.name, 3) if field.name[0] in "rt" else None
    if field.default == SERVICE_CHOSEN:
        if model is machines.ImageReference and "sku" in body:
            return "latest"
        return CHOSEN.get((model, field.name))
    if field.default == ABSENT:
        return "P10675199DT2H48M5.4775807S" if field.compare is Compare.DURATION else None
    return field.default


@st.composite
def _returned(draw: st.DrawFn, field: Field, value: Any) -> Any:
    if field.is_list:
        items = draw(st.permutations(value)) if field.keyed_by else value
        return [draw(_returned_item(field, item)) for item in items]
    return draw(_returned_item(field, value))


@st.composite
def _returned_item(draw: st.DrawFn, field: Field, value: Any) -> Any:
    if field.below is not None:
        return draw(_answers(field.below, value))
    match field.compare:
        case Compare.FOLDED:
            return draw(st.sampled_from([value, value.lower(), value.upper(), value.swapcase()]))
        case Compare.DURATION if not duration.is_unlimited(value):
            seconds, ticks = divmod(duration.ticks(value), duration.TICKS_PER_SECOND)
            return draw(st.sampled_from([duration.canonical(value), f"PT{seconds}.{ticks:07}S"]))
        case Compare.MOMENT:
            return moment.canonical(value)
    return value


class Edit(NamedTuple):
    """A body with one property changed. *path* has the positions of list items as texts."""

    path: Path
    body: Body


@st.composite
def edits(draw: st.DrawFn, model: type[Spec], body: Body) -> Edit:
    """*body* with another value for one of its top-level properties, or with one more, or one less. The result is
    mended, so that it stays valid; it may come out equal."""
    name = draw(st.sampled_from(list(table(model))))
    other = draw(specs(model))
    changed = {**_but(body, name), **({name: other[name]} if name in other else {})}
    for base in model.__mro__:
        if base in REPAIRS:
            changed = REPAIRS[base](changed)
    return Edit((name,), changed)
