"""The way of a new user: a start, an edit, a plan, an apply, a change behind one's back, its return, the end."""

import shutil
from typing import Any

from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential


def test_from_init_to_destroy(bench: Any) -> None:
    shutil.rmtree(bench.folder)
    assert bench.run("init", "manifests", "--name", "journey").code == 0
    assert bench.run("plan", "manifests", "--detailed-exitcode").code == 2
    assert bench.writes() == []

    edit(bench, "job", "    commandLine: *work\n", "    commandLine: *work\n  - id: task-3\n    commandLine: *work\n")
    edit(bench, "job", "  poolInfo:\n", "  priority: 5\n  poolInfo:\n")
    planned = bench.run("plan", "manifests")
    assert "tasks: 3 to add (task-1, task-2, task-3)" in planned.out
    summary = "Plan: 2 to add, 0 to change, 0 to terminate, 0 to delete."
    assert summary in planned.lines

    done = bench.apply()
    assert done.code == 0, done.out + done.err
    assert tasks(bench) == {"task-1": "completed", "task-2": "completed", "task-3": "completed"}
    (lines,) = bench.shared("journey/results.txt").values()
    assert lines[0] == "prepared for journey"
    assert sorted(lines[1:]) == ["task-1", "task-2", "task-3"]
    assert bench.apply().lines[-1] == "No changes. The account matches the manifests."

    with client(bench) as account:
        account.update_job("journey", {"priority": 9})
    drifted = bench.run("plan", "manifests", "--detailed-exitcode")
    assert drifted.code == 2
    assert "(drift)" in drifted.out
    assert "priority: 9 -> 5" in drifted.out
    explained = bench.run("explain", "job/journey", "manifests")
    assert "sync:      OutOfSync, changed behind our back (drift)" in explained.lines[4]

    assert bench.apply().code == 0
    with client(bench) as account:
        assert account.get_job("journey").priority == 5

    gone = bench.run("destroy", "manifests", stdin="yes\nyes\n")
    assert gone.code == 0, gone.out + gone.err
    assert "release exit code 0" in gone.out
    with client(bench) as account:
        assert list(account.list_jobs()) == []
        assert list(account.list_pools()) == []
    sent = bench.writes()
    assert [row for row in sent if "terminate" in row] == ["POST /jobs/journey/terminate"]
    assert summary in bench.run("plan", "manifests").lines


def edit(bench: Any, name: str, old: str, new: str) -> None:
    """Change a line of a manifest, as in an editor."""
    path = bench.folder / f"{name}.yaml"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


def client(bench: Any) -> BatchClient:
    """The SDK, as somebody in a portal or a script would use it."""
    return BatchClient(bench.emulator.endpoint, AzureNamedKeyCredential(bench.emulator.account, bench.emulator.key))


def tasks(bench: Any) -> dict[str, str]:
    with client(bench) as account:
        return {str(task.id): str(task.state and task.state.value) for task in account.list_tasks("journey")}
