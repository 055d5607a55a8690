"""Several stacks in one folder, each in an account of its own, under a key of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator import Simulation
from tests.commands.conftest import JOB, POOL, called


@pytest.fixture
def north(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """A second account; stack `a` is in that of the desk, stack `b` here. The environment names neither."""
    for name in ("AZURE_BATCH_ENDPOINT", "AZURE_BATCH_ACCOUNT", "AZURE_BATCH_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (desk.folder / "stack.yaml").unlink()
    with Simulation(account="north", seconds_per_request=0.5) as simulation:
        for name, account in (("a", desk.simulation), ("b", simulation)):
            folder = desk.folder / name
            folder.mkdir()
            (folder / "stack.yaml").write_text(
                f"apiVersion: reconciler/v1\nkind: Stack\nmetadata: {{name: {name}}}\nspec:\n  account:\n"
                f"    endpoint: {account.endpoint}\n    name: {account.account}\n"
                f"    key: {{secretRef: {{env: KEY_{name.upper()}}}}}\n"
            )
            monkeypatch.setenv(f"KEY_{name.upper()}", account.key)
            (folder / "pool.yaml").write_text(POOL)
            (folder / "job.yaml").write_text(JOB.replace("{name: j}", f"{{name: of-{name}}}"))
        yield simulation


def jobs(account: Simulation) -> list[str]:
    return [job["id"] for job in account.get("/jobs")["value"]]


def test_each_goes_to_its_own_account_and_no_key_is_shown(desk: Any, north: Simulation) -> None:
    flags = ("--auto-approve", "--no-wait")
    ran = [called("plan", "manifests"), called("apply", "manifests", *flags), called("status", "manifests")]
    assert [it.code for it in ran] == [0, 0, 0], ran[1].out + ran[1].err
    assert (jobs(desk.simulation), jobs(north)) == (["of-a"], ["of-b"])
    assert [line for line in ran[1].out.splitlines() if line.startswith("Target:")] == [
        f"Target: {desk.simulation.endpoint} (account simulated), stack 'a'",
        f"Target: {north.endpoint} (account north), stack 'b'",
    ]
    assert called("plan", "manifests", "--detailed-exitcode").code == 0
    assert not any(key in it.out + it.err for it in ran for key in (north.key, desk.simulation.key))
    (desk.folder / "b" / "job.yaml").unlink()
    assert called("apply", "manifests", *flags).code == 0
    desk.simulation.run_until_idle()
    north.run_until_idle()
    assert called("apply", "manifests", *flags).code == 0
    assert (jobs(desk.simulation), jobs(north)) == (["of-a"], [])
    assert called("destroy", "manifests", "--auto-approve").code == 0
    assert jobs(desk.simulation) == []


def test_one_that_cannot_be_reached_leaves_the_other_to_its_work(
    desk: Any, north: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "bm90LXRoZS1rZXk=")
    done = called("apply", "manifests", "--auto-approve", "--no-wait")
    assert done.code == 1
    assert "error: stack 'a'" in done.err
    assert (jobs(desk.simulation), jobs(north)) == ([], ["of-b"])


def test_the_key_of_a_stack_goes_to_its_account_alone(desk: Any, north: Simulation) -> None:
    refused = called("plan", "manifests/a", "--endpoint", north.endpoint, "--account", "north")
    assert refused.code == 1
    assert "give a key in AZURE_BATCH_ACCESS_KEY" in refused.err
    assert north.requests() == []


def test_a_key_in_a_manifest_is_no_secret(desk: Any, north: Simulation) -> None:
    path = Path("manifests/a/stack.yaml")
    path.write_text(path.read_text().replace("{secretRef: {env: KEY_A}}", "c2VjcmV0"))
    refused = called("validate", "manifests/a")
    assert refused.code == 64
    assert "spec.account.key: expected a secretRef ({secretRef: {env: NAME}}), found a text" in refused.err
    assert "c2VjcmV0" not in refused.err
