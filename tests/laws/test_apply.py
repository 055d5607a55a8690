"""Laws of apply, for every body that the models allow: what was applied plans empty, what is changed is changed or
refused by name, and what is there imports to a manifest that plans empty too.

Through the command line, on the simulated emulator over HTTP and the real SDK; time goes on with every request. What
the emulator refuses by name (containers, managed identities, mounts, the account's own storage, tokens for tasks) is
left out of these bodies; that such properties are compared as the service returns them is a law in `test_table.py`.
"""

import asyncio
import contextlib
import importlib.util
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from reconciler.cli.main import main
from reconciler.cli.running import WallClock
from reconciler.emulator import Simulation
from reconciler.model.desired import SPECS, Kind
from reconciler.model.field import Spec
from reconciler.model.table import table

KINDS = {Kind.POOL: "Pool", Kind.JOB: "Job", Kind.JOB_SCHEDULE: "JobSchedule"}
NO_CHANGES = "No changes. The account matches the manifests."
REFUSED = frozenset(
    {
        "applicationPackageReferences",  # no package is there
        "authenticationTokenSettings",
        "autoStorageContainerName",
        "containerConfiguration",
        "containerSettings",
        "identityReference",
        "mountConfiguration",
        "uploadHeaders",  # of which it takes only what can stand in a header; the models take any text
    }
)
_NUMBERS = itertools.count(1)
every_kind = pytest.mark.parametrize("kind", list(Kind), ids=str)


def examples(count: int) -> settings:
    return settings(
        deadline=None,
        max_examples=count,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


def _strategies() -> Any:
    spec = importlib.util.spec_from_file_location("manifests", Path(__file__).with_name("manifests.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


manifests = _strategies()


def refused(model: type[Spec], at: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted paths of what the emulator refuses, in *model* and below."""
    for name, field in table(model).items():
        if name in REFUSED:
            yield ".".join((*at, name))
        elif field.below is not None:
            yield from refused(field.below, (*at, name))


def bodies(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies that the emulator takes: of a size and image it knows, with few nodes."""
    return manifests.specs(SPECS[kind], without=tuple(refused(SPECS[kind]))).map(lambda body: _small(kind, body))


def _small(kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
    if kind is Kind.POOL:
        return _pool(body)
    if kind is Kind.JOB_SCHEDULE:
        return {**body, "jobSpecification": _job(body["jobSpecification"])}
    return _job(body)


def _pool(body: Mapping[str, Any]) -> dict[str, Any]:
    machine = {
        **body["virtualMachineConfiguration"],
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    }
    machine.pop("windowsConfiguration", None)
    pool = {**body, "vmSize": "Standard_D64s_v3", "virtualMachineConfiguration": machine}
    for name in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        if name in pool:
            pool[name] = pool[name] % 3
    if "autoScaleFormula" in pool:
        pool["autoScaleFormula"] = "$TargetDedicatedNodes = 1;"
    return pool


def _job(body: Mapping[str, Any]) -> dict[str, Any]:
    automatic = body["poolInfo"].get("autoPoolSpecification")
    if automatic is None:
        return dict(body)
    if "pool" not in automatic:  # the model allows it, and nobody knows what the service would make
        return {**body, "poolInfo": {"poolId": "elsewhere"}}
    info = {"autoPoolSpecification": {**automatic, "pool": _pool(automatic["pool"])}}
    return {**body, "poolInfo": info}


class Account:
    """The simulated account, and the command line pointed at it."""

    def __init__(self, simulation: Simulation, home: Path) -> None:
        self.simulation, self.home = simulation, home

    def run(self, *arguments: str) -> tuple[int, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
        return code, out.getvalue() + err.getvalue()

    def folder(self) -> Path:
        """A new stack."""
        number = next(_NUMBERS)
        folder = self.home / f"s{number}"
        folder.mkdir()
        stack = {"apiVersion": "reconciler/v1", "kind": "Stack", "metadata": {"name": f"s{number}"}}
        (folder / "stack.yaml").write_text(yaml.safe_dump(stack), "utf-8")
        return folder

    def write(self, folder: Path, kind: Kind, body: Mapping[str, Any], **lifecycle: Any) -> None:
        manifest = {
            "apiVersion": "reconciler/v1",
            "kind": KINDS[kind],
            "metadata": {"name": f"x-{folder.name}"},
            "spec": body,
            "lifecycle": lifecycle,
        }
        (folder / "x.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")

    def apply(self, folder: Path, *flags: str) -> tuple[int, str]:
        return self.run("apply", str(folder), "--auto-approve", "--no-wait", "--detailed-exitcode", *flags)

    def plans_empty(self, folder: Path) -> None:
        code, text = self.run("plan", str(folder), "--detailed-exitcode")
        assert (code, text.splitlines()[-1]) == (0, NO_CHANGES), text

    def remove(self, folder: Path) -> None:
        code, text = self.run("destroy", str(folder), "--auto-approve")
        assert code == 0, text


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    home = tmp_path_factory.mktemp("laws")
    with Simulation(seconds_per_request=2.0) as simulation, pytest.MonkeyPatch.context() as patch:
        patch.setattr(WallClock, "sleep", lambda _self, _seconds: asyncio.sleep(0))
        for name, value in (
            ("HOME", str(home)),
            ("XDG_STATE_HOME", str(home)),
            ("AZURE_BATCH_ENDPOINT", simulation.endpoint),
            ("AZURE_BATCH_ACCOUNT", simulation.account),
            ("AZURE_BATCH_ACCESS_KEY", simulation.key),
        ):
            patch.setenv(name, value)
        yield Account(simulation, home)


def is_done(code: int, text: str) -> bool:
    """Whether every request was accepted. Nodes and tasks that fail (6) are no difference from the manifests."""
    return code in (0, 3) or (code == 6 and "Failed:" not in text)


@every_kind
@given(data=st.data())
@examples(25)
def test_what_was_applied_plans_empty_and_imports_to_what_plans_empty(
    account: Account, kind: Kind, data: st.DataObject
) -> None:
    body = data.draw(bodies(kind))
    folder = account.folder()
    account.write(folder, kind, body)
    assume(account.run("validate", str(folder))[0] == 0)  # lint knows rules between objects, which the bodies do not
    code, text = account.apply(folder)
    assert is_done(code, text), text
    account.plans_empty(folder)
    code, text = account.run("import", f"{kind}/x-{folder.name}")
    assert code == 0, text
    imported = text.partition("\n")[2] if text.startswith("Target:") else text[: text.rindex("Target:")]
    if "is not written" not in imported:
        (folder / "x.yaml").write_text(imported, "utf-8")
        account.plans_empty(folder)
    account.remove(folder)


@every_kind
@given(data=st.data())
@examples(25)
def test_a_changed_property_is_changed_noted_or_refused_by_name(
    account: Account, kind: Kind, data: st.DataObject
) -> None:
    before, other = data.draw(bodies(kind)), data.draw(bodies(kind))
    name = data.draw(st.sampled_from(sorted(table(SPECS[kind]).keys() - REFUSED)))
    after = {key: value for key, value in before.items() if key != name}
    after |= {name: other[name]} if name in other else {}
    folder = account.folder()
    account.write(folder, kind, before)
    assume(account.run("validate", str(folder))[0] == 0)
    code, text = account.apply(folder)
    assert is_done(code, text), text
    account.write(folder, kind, after)
    code, text = account.run("validate", str(folder))
    if code == 64:  # the change breaks a rule between properties
        account.write(folder, kind, before)
        account.remove(folder)
        return
    code, text = account.apply(folder)
    if code == 4:  # a person is asked: the property, and what allows it or what to write
        said = "\n".join(re.findall(r"blocked: .*", text))
        assert name in said, text
    else:
        assert is_done(code, text), text
        account.plans_empty(folder)
    account.remove(folder)
