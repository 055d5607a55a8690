"""`emulator reset`: a fresh account, of which nothing is remembered."""

import json
import socket
from pathlib import Path

import pytest

from tests.commands.conftest import JOB, POOL, STACK, Ran, called


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with a stack, and no account configured."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "stack.yaml").write_text(STACK)
    (folder / "pool.yaml").write_text(POOL)
    (folder / "job.yaml").write_text(
        JOB.replace("}}", "}, onAllTasksComplete: terminatejob}") + "lifecycle: {ttlAfterCompletion: {success: PT0S}}\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("AZURE_BATCH_ENDPOINT", "AZURE_BATCH_ACCOUNT", "AZURE_BATCH_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def run(*arguments: str) -> Ran:
    done = called(*arguments)
    assert done.code == 0, done.out + done.err
    return done


def test_a_run_that_was_remembered_runs_again_in_the_fresh_account(home: Path) -> None:
    stacks = home / "state" / "reconciler" / "stacks"
    other = stacks / "myaccount.westeurope.batch.azure.com" / "s"
    other.mkdir(parents=True)
    try:
        run("apply", "manifests", "--auto-approve")
        run("apply", "manifests", "--auto-approve")  # removes the job by its time to live
        assert "- job/j" not in run("plan", "manifests").out
        port = json.loads(run("emulator", "status", "--format", "json").out)["endpoint"].rpartition(":")[2]
        (folder,) = stacks.glob("127.0.0.1*")
        assert list((folder / "s" / "ledger").glob("*.json"))
        done = run("emulator", "reset")
        assert f"Forgotten with it: ledger, journal, receipts and logs of stack s ({folder / 's'})." in done.out
        assert not folder.exists()
        assert other.exists()
        planned = run("plan", "manifests").out
        assert "+ job/j: create" in planned
        # Whatever listens on its port now is another account.
        run("emulator", "stop")
        kept = folder / "t"
        kept.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", int(port))):
            said = run("emulator", "reset").out
        assert f"something else listens at http://127.0.0.1:{port} now" in said
        assert kept.exists()
    finally:
        run("emulator", "stop")
