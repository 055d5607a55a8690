"""Every row of the service's tables of what may change about jobs and tasks, driven through apply: the plan is empty
after it. One account for all; each test has a stack of its own, with one job, and shares two pools.
"""

import contextlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

from reconciler.cli.main import main
from reconciler.emulator import Emulator
from tests.e2e.conftest import POOL, STACK, Ran, pointed_at

NO_CHANGES = "No changes. The account matches the manifests."
NOWHERE = {"poolInfo": {"poolId": "nowhere"}}
_NUMBERS = itertools.count(1)


@dataclass
class Account:
    """The emulator, and a client that looks at it."""

    emulator: Emulator
    client: BatchClient
    home: Path


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Pools `p` and `q` with a node each."""
    home = tmp_path_factory.mktemp("changes")
    base = home / "base"
    base.mkdir()
    (base / "stack.yaml").write_text(STACK.replace("name: s", "name: base"), "utf-8")
    one = POOL.replace("targetDedicatedNodes: 2", "targetDedicatedNodes: 1\n  taskSlotsPerNode: 8")
    (base / "p.yaml").write_text(one, "utf-8")
    (base / "q.yaml").write_text(one.replace("name: p", "name: q"), "utf-8")
    with Emulator(state=home / "emulator") as emulator:
        credential = AzureNamedKeyCredential(emulator.account, emulator.key)
        with BatchClient(emulator.endpoint, credential) as client, pytest.MonkeyPatch.context() as patch:
            for name, value in pointed_at(emulator, home).items():
                patch.setenv(name, value)
            assert run("apply", str(base), "--auto-approve").code == 0
            yield Account(emulator, client, home)


def run(*arguments: str) -> Ran:
    """One command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


@dataclass
class Job:
    """The manifest of one job in a stack of its own, and what is there of it."""

    folder: Path
    name: str
    account: Account

    def write(
        self,
        spec: Mapping[str, Any] | None = None,
        work: list[Mapping[str, Any]] | None = None,
        **lifecycle: Any,
    ) -> None:
        manifest = {
            "apiVersion": "reconciler/v1",
            "kind": "Job",
            "metadata": {"name": self.name},
            "spec": {"poolInfo": {"poolId": "p"}, **(spec or {})},
            "lifecycle": lifecycle,
            "tasks": work or [],
        }
        (self.folder / "job.yaml").write_text(yaml.safe_dump(manifest), "utf-8")

    def plan(self, *flags: str) -> Ran:
        return run("plan", str(self.folder), "--detailed-exitcode", *flags)

    def apply(self, *flags: str) -> Ran:
        return run("apply", str(self.folder), "--auto-approve", "--detailed-exitcode", *flags)

    def applied(self, *flags: str) -> Ran:
        """Applied, and the plan is empty after it."""
        ran = self.apply(*flags)
        assert ran.code == 0, ran.out + ran.err
        again = self.plan()
        assert (again.code, again.lines[-1]) == (0, NO_CHANGES), again.out
        return ran

    @property
    def live(self) -> Any:
        return self.account.client.get_job(self.name).as_dict()

    @property
    def is_there(self) -> bool:
        return any(job.id == self.name for job in self.account.client.list_jobs())

    def task(self, name: str) -> Any:
        return self.account.client.get_task(self.name, name).as_dict()

    @property
    def tasks(self) -> list[str]:
        return sorted(task.id for task in self.account.client.list_tasks(self.name))

    def lines(self, file: str) -> list[str]:
        """What its processes wrote into a file of their node."""
        found = self.account.emulator.state.glob(f"nodes/*/*/shared/{self.name}-{file}")
        return [line for path in found for line in path.read_text("utf-8").split()]

    def script(self, text: str) -> str:
        """A command that may write to `$here-FILE`."""
        return f"/bin/sh -c 'here=\"$AZ_BATCH_NODE_SHARED_DIR/{self.name}\"; {text}'"

    @property
    def entries(self) -> list[Path]:
        return list(self.account.home.glob(f".local/state/reconciler/stacks/*/{self.name}/ledger/*.json"))


@pytest.fixture
def job(account: Account) -> Job:
    name = f"j{next(_NUMBERS)}"
    folder = account.home / name
    folder.mkdir()
    (folder / "stack.yaml").write_text(STACK.replace("name: s", f"name: {name}"), "utf-8")
    return Job(folder, name, account)


PREPARED = {"jobPreparationTask": {"commandLine": "/bin/true"}, "jobReleaseTask": {"commandLine": "/bin/true"}}
IN_PLACE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "priority": ({}, {"priority": 7}),
    "priority, its line removed": ({"priority": 7}, {}),
    "maxParallelTasks": ({}, {"maxParallelTasks": 4}),
    "constraints": ({"constraints": {"maxTaskRetryCount": 2}}, {"constraints": {"maxWallClockTime": "PT90M"}}),
    "constraints, one of two": (
        {"constraints": {"maxTaskRetryCount": 2, "maxWallClockTime": "P1D"}},
        {"constraints": {"maxTaskRetryCount": 2}},
    ),
    "metadata": ({"metadata": [{"name": "a", "value": "1"}]}, {"metadata": [{"name": "b", "value": "2"}]}),
    "metadata, its line removed": ({"metadata": [{"name": "a", "value": "1"}]}, {}),
    "networkConfiguration": (
        {},
        {"networkConfiguration": {"subnetId": "/subscriptions/x", "skipWithdrawFromVNet": True}},
    ),
    "onAllTasksComplete": ({}, {"onAllTasksComplete": "terminatejob"}),
}


@pytest.mark.parametrize("row", IN_PLACE)
def test_what_may_change_at_any_time_is_changed_in_place(job: Job, row: str) -> None:
    before, after = IN_PLACE[row]
    job.write(before)
    job.applied()
    born = job.live["creationTime"]
    job.write(after)
    ran = job.applied()
    assert "road: update\n" in ran.out
    assert job.live["creationTime"] == born
    for name, value in after.items():
        if isinstance(value, int | str):
            assert job.live[name] == value


ANEW: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "jobPreparationTask": (PREPARED, {**PREPARED, "jobPreparationTask": {"commandLine": "/bin/echo"}}),
    "jobReleaseTask": (PREPARED, {**PREPARED, "jobReleaseTask": {"commandLine": "/bin/echo"}}),
    "jobManagerTask": ({}, {"jobManagerTask": {"id": "m", "commandLine": "/bin/true", "killJobOnCompletion": False}}),
    "commonEnvironmentSettings": ({}, {"commonEnvironmentSettings": [{"name": "A", "value": "1"}]}),
    "usesTaskDependencies": ({}, {"usesTaskDependencies": True}),
    "onTaskFailure": ({}, {"onTaskFailure": "performexitoptionsjobaction"}),
    "onAllTasksComplete, back": ({"onAllTasksComplete": "terminatejob"}, {"onAllTasksComplete": "noaction"}),
}


@pytest.mark.parametrize("row", ANEW)
def test_what_is_fixed_takes_a_new_job_after_release(job: Job, row: str) -> None:
    before, after = ANEW[row]
    job.write(before)
    job.applied()
    born = job.live["creationTime"]
    job.write(after)
    ran = job.applied()
    assert "terminate -> wait for " in ran.out
    assert "-> delete -> wait for the service to forget it -> create" in ran.out
    assert job.live["creationTime"] != born
    assert job.live["state"] == "active"


def test_a_display_name_is_a_note_and_never_a_reason_to_replace(job: Job) -> None:
    job.write({"displayName": "one"})
    job.applied()
    before = max(row["n"] for row in job.account.emulator.requests())
    job.write({"displayName": "two"})
    assert "displayName: one stays until the object is next created, then two" in job.applied().out
    assert all(row["method"] == "GET" for row in job.account.emulator.requests(before))


def test_a_job_moves_to_another_pool_through_disabled(job: Job) -> None:
    job.write({}, [{"id": "t", "commandLine": job.script("echo ran >> $here-ran")}])
    job.applied()
    born = job.live["creationTime"]
    job.write({"poolInfo": {"poolId": "q"}}, [{"id": "t", "commandLine": job.script("echo ran >> $here-ran")}])
    ran = job.applied()
    assert "road: disable -> wait for its running tasks to end -> update -> enable\n" in ran.out
    assert (job.live["poolInfo"]["poolId"], job.live["state"]) == ("q", "active")
    assert job.live["creationTime"] == born
    assert job.lines("ran") == ["ran"]


def test_a_job_whose_release_its_old_pool_owes_moves_with_consent_only(job: Job) -> None:
    tasks = [{"id": "t", "commandLine": "/bin/true"}]
    job.write(PREPARED, tasks)
    job.applied()
    job.write({**PREPARED, "poolInfo": {"poolId": "q"}}, tasks)
    refused = job.apply()
    assert refused.code == 4
    assert "whose nodes still owe its release" in refused.out
    assert f"--allow-release-loss job/{job.name}" in refused.out
    assert (job.live["poolInfo"]["poolId"], job.live["state"]) == ("p", "active")
    assert job.apply("--allow-release-loss", f"job/{job.name}").code == 0
    assert (job.live["poolInfo"]["poolId"], job.live["state"]) == ("q", "active")


def auto_pool(**more: Any) -> dict[str, Any]:
    pool = {
        "vmSize": "Standard_D2s_v3",
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
            "nodeAgentSKUId": "batch.node.ubuntu 22.04",
        },
        "targetDedicatedNodes": 0,
    }
    return {"poolInfo": {"poolId": None, "autoPoolSpecification": {"poolLifetimeOption": "job", "pool": pool, **more}}}


def test_keeping_an_auto_pool_is_changed_while_the_job_is_disabled(job: Job) -> None:
    job.write(auto_pool(keepAlive=True))
    job.applied()
    born = job.live["creationTime"]
    job.write(auto_pool(keepAlive=False))
    assert "road: disable -> " in job.applied().out
    assert job.live["creationTime"] == born


def test_another_auto_pool_takes_a_new_job(job: Job) -> None:
    job.write(auto_pool(autoPoolIdPrefix="one"))
    job.applied()
    born = job.live["creationTime"]
    job.write(auto_pool(autoPoolIdPrefix="two"))
    job.applied()
    assert job.live["creationTime"] != born


def test_a_job_is_disabled_and_enabled_again_and_its_tasks_wait_meanwhile(job: Job) -> None:
    tasks = [{"id": "t", "commandLine": job.script("echo ran >> $here-ran")}]
    job.write({"onAllTasksComplete": "terminatejob"}, tasks, state="Disabled")
    assert "road: create -> disable -> wait for its running tasks to end -> add 1 task" in job.applied().out
    assert (job.live["state"], job.live["onAllTasksComplete"]) == ("disabled", "noaction")
    assert job.tasks == ["t"]
    assert job.lines("ran") == []
    job.write({"onAllTasksComplete": "terminatejob"}, tasks)
    job.apply()
    assert job.lines("ran") == ["ran"]
    assert job.live["onAllTasksComplete"] == "terminatejob"


@pytest.mark.parametrize("change", [{"onTaskFailure": "performexitoptionsjobaction"}])
def test_running_tasks_are_not_killed_for_a_changed_line_without_consent(job: Job, change: dict[str, Any]) -> None:
    tasks = [{"id": "t", "commandLine": job.script("echo began >> $here-ran; sleep 100")}]
    job.write({}, tasks)
    assert job.apply("--no-wait").code in (0, 3)
    until(lambda: job.lines("ran") == ["began"])
    born = job.live["creationTime"]
    job.write(change, tasks)
    refused = job.apply()
    assert refused.code == 4
    assert f"it would kill 1 running task (allow it with --allow-task-loss job/{job.name})" in refused.out
    job.write(change, tasks, replace="WhenIdle")
    assert "wait for its 1 running task to end (lifecycle.replace: WhenIdle) -> terminate" in job.plan().out
    assert job.live["creationTime"] == born
    job.write(change, [{"id": "t", "commandLine": "/bin/true"}])
    assert job.apply("--allow-task-loss", f"job/{job.name}").code == 0
    assert job.live["creationTime"] != born


def until(holds: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


WORK = {"id": "t", "commandLine": "/bin/true"}
TASK_ANEW: dict[str, dict[str, Any]] = {
    "commandLine": {"commandLine": "/bin/echo"},
    "resourceFiles": {"resourceFiles": [{"httpUrl": "http://127.0.0.1:9/x", "filePath": "x"}]},
    "environmentSettings": {"environmentSettings": [{"name": "A", "value": "1"}]},
    "requiredSlots": {"requiredSlots": 2},
    "userIdentity": {"userIdentity": {"autoUser": {"scope": "task", "elevationLevel": "nonadmin"}}},
    "affinityInfo": {"affinityInfo": {"affinityId": "n"}},
    "exitConditions": {"exitConditions": {"exitCodes": [{"code": 3, "exitOptions": {"dependencyAction": "satisfy"}}]}},
    "dependsOn": {"dependsOn": {"taskIds": ["other"]}},
}


@pytest.mark.parametrize("row", TASK_ANEW)
def test_a_changed_task_is_added_anew_where_the_policy_says_so(job: Job, row: str) -> None:
    spec = {**NOWHERE, "usesTaskDependencies": True}
    other = {"id": "other", "commandLine": "/bin/true"}
    job.write(spec, [WORK, other])
    assert job.apply("--no-wait").code == 3
    first, kept = job.task("t")["creationTime"], job.task("other")["creationTime"]
    changed = [{**WORK, **TASK_ANEW[row]}, other]
    job.write(spec, changed)
    assert job.apply("--no-wait").code == 4
    assert job.task("t")["creationTime"] == first
    job.write(spec, changed, tasks="Replace")
    ran = job.apply("--no-wait")
    assert "delete 1 task -> add 1 task -> confirm tasks" in ran.out
    assert ran.code == 3
    assert job.task("t")["creationTime"] != first
    assert job.task("other")["creationTime"] == kept
    assert NO_CHANGES in job.plan().lines


def test_constraints_of_a_task_change_in_place_and_its_display_name_does_not(job: Job) -> None:
    job.write(NOWHERE, [WORK])
    assert job.apply("--no-wait").code == 3
    first = job.task("t")["creationTime"]
    job.write(
        NOWHERE, [{**WORK, "displayName": "new", "constraints": {"maxTaskRetryCount": 3, "retentionTime": "P1D"}}]
    )
    assert "update 1 task -> confirm tasks" in job.apply("--no-wait").out
    there = job.task("t")
    assert there["creationTime"] == first
    assert there["constraints"]["maxTaskRetryCount"] == 3
    assert NO_CHANGES in job.plan().lines


def test_tasks_that_are_not_declared_stay_or_go(job: Job) -> None:
    job.write(NOWHERE, [WORK])
    assert job.apply("--no-wait").code == 3
    job.account.client.create_task(job.name, {"id": "extra", "commandLine": "/bin/true"})  # type: ignore[arg-type]
    assert NO_CHANGES in job.plan().lines
    assert "1 of its tasks is in the account and not in the manifest" in job.plan("--check-tasks").out
    job.write(NOWHERE, [WORK], tasks="Exact")
    assert "1 task goes: not declared (extra)" in job.apply("--no-wait").out
    assert job.tasks == ["t"]
    assert job.plan("--check-tasks").lines[-1] == NO_CHANGES


def test_a_task_that_somebody_deleted_is_seen_when_the_tasks_are_checked(job: Job) -> None:
    job.write(NOWHERE, [WORK, {"id": "u", "commandLine": "/bin/true"}])
    assert job.apply("--no-wait").code == 3
    job.account.client.delete_task(job.name, "u")
    assert NO_CHANGES in job.plan().lines
    assert "add 1 task" in job.plan("--check-tasks").out
    assert job.apply("--no-wait", "--check-tasks").code == 3
    assert job.tasks == ["t", "u"]


def test_failed_tasks_run_again_once_for_each_change_of_the_manifest(job: Job) -> None:
    tasks = [{"id": "t", "commandLine": job.script("echo ran >> $here-ran; exit 1")}]
    job.write({}, tasks, tasks="ReactivateFailed")
    assert job.apply().code == 6
    assert job.lines("ran") == ["ran"]
    assert NO_CHANGES in job.apply().out
    assert job.lines("ran") == ["ran"]
    job.write({"priority": 1}, tasks, tasks="ReactivateFailed")
    ran = job.apply()
    assert "reactivate 1 task -> confirm tasks" in ran.out
    assert ran.code == 6
    assert job.lines("ran") == ["ran", "ran"]
    assert NO_CHANGES in job.plan().lines


def test_a_job_that_ran_to_its_end_is_removed_after_its_time_and_not_run_again(job: Job) -> None:
    tasks = [{"id": "t", "commandLine": job.script("echo ran >> $here-ran")}]
    spec = {"onAllTasksComplete": "terminatejob"}
    life = {"ttlAfterCompletion": {"success": "PT0S", "failure": "P1D"}}
    job.write(spec, tasks, **life)
    assert job.apply().code == 0
    until(lambda: job.live["state"] == "completed")
    expired = job.apply()
    assert "ttlAfterCompletion.success: PT0S is over" in expired.out
    assert not job.is_there
    (entry,) = job.entries
    written = json.loads(entry.read_text("utf-8"))
    assert (written["name"], written["result"]) == (job.name, "success")
    assert NO_CHANGES in job.plan().lines
    assert f"job/{job.name}: ran to its end and was removed after its TTL" in job.plan().out
    assert "Missing" not in (shown := run("status", str(job.folder)).out)
    assert "ran to its end and was removed after its TTL" in shown

    job.write({**spec, "usesTaskDependencies": True}, tasks, **life)
    assert "road: forget its run -> create -> add 1 task" in job.apply().out
    until(lambda: job.live["state"] == "completed")
    assert job.apply().code == 0
    assert job.lines("ran") == ["ran", "ran"]

    again = job.apply("--replace", f"job/{job.name}")
    assert "asked for by --replace" in again.out
    until(lambda: job.live["state"] == "completed")
    assert job.lines("ran") == ["ran"] * 3
    assert job.apply().code == 0

    (job.folder / "job.yaml").unlink()
    assert "road: forget its run\n" in job.apply("--allow-deletes", "1").out
    assert job.entries == []
    assert NO_CHANGES in job.plan().lines


def test_a_failed_run_is_kept_for_its_own_time(job: Job) -> None:
    life = {"ttlAfterCompletion": {"success": "PT0S", "failure": "P1D"}}
    job.write({"onAllTasksComplete": "terminatejob"}, [{"id": "t", "commandLine": "/bin/false"}], **life)
    job.apply()
    until(lambda: job.live["state"] == "completed")
    assert NO_CHANGES in job.plan().lines
    assert job.is_there


def test_without_the_ledger_that_the_marks_name_no_removed_job_is_run_again(job: Job) -> None:
    life = {"ttlAfterCompletion": {"success": "PT0S"}}
    job.write({}, **life)
    job.applied()
    store = job.account.home / ".local/state/reconciler/stacks"
    (identity,) = store.glob(f"*/{job.name}/store-id")
    identity.unlink()
    second = yaml.safe_load((job.folder / "job.yaml").read_text("utf-8"))
    second["metadata"]["name"] = f"{job.name}-b"
    (job.folder / "second.yaml").write_text(yaml.safe_dump(second), "utf-8")
    refused = job.apply()
    assert refused.code == 4
    assert f"--allow-new-run job/{job.name}-b" in refused.out
    assert job.apply("--allow-new-run", f"job/{job.name}-b").code == 0
    assert job.account.client.get_job(f"{job.name}-b").state == "active"


def test_ignored_changes_keep_the_live_value_whatever_is_sent(job: Job) -> None:
    ignoring = {"ignoreChanges": ["spec.priority", "spec.constraints.maxTaskRetryCount", "spec.metadata.theirs"]}
    job.write({"priority": 1, "constraints": {"maxTaskRetryCount": 1}}, **ignoring)
    job.applied()
    theirs = [*job.live["metadata"], {"name": "theirs", "value": "1"}]
    job.account.client.update_job(
        job.name,
        {"priority": 9, "constraints": {"maxTaskRetryCount": 5}, "metadata": theirs},  # type: ignore[arg-type]
    )
    assert NO_CHANGES in job.plan().lines
    job.write({"priority": 1, "constraints": {"maxTaskRetryCount": 1, "maxWallClockTime": "P1D"}}, **ignoring)
    job.applied()
    there = job.live
    assert (there["priority"], there["constraints"]["maxTaskRetryCount"]) == (9, 5)
    assert there["constraints"]["maxWallClockTime"] in ("P1D", "PT86400S", 86400)
    assert {"name": "theirs", "value": "1"} in there["metadata"]


def test_an_orphan_is_left_without_our_mark(job: Job) -> None:
    job.write({"metadata": [{"name": "a", "value": "1"}]}, deletionPolicy="Orphan")
    job.applied()
    (job.folder / "job.yaml").unlink()
    ran = job.apply("--allow-deletes", "1")
    assert "road: orphan\n" in ran.out
    assert job.live["metadata"] == [{"name": "a", "value": "1"}]
    assert job.live["state"] == "active"
    assert NO_CHANGES in job.plan().lines


def test_a_completed_orphan_cannot_be_unmarked_and_is_told(job: Job) -> None:
    job.write(deletionPolicy="Orphan")
    job.applied()
    job.account.client.begin_terminate_job(job.name, options={"terminateReason": "x"})  # type: ignore[arg-type]
    until(lambda: job.live["state"] == "completed")
    (job.folder / "job.yaml").unlink()
    refused = job.apply()
    assert refused.code == 4
    assert "is completed, and the mark cannot be taken off" in refused.out
    assert job.is_there


def test_finished_work_is_no_drift(job: Job) -> None:
    job.write({"onAllTasksComplete": "terminatejob"}, [WORK])
    assert job.apply().code == 0
    until(lambda: job.live["state"] == "completed")
    job.write({"onAllTasksComplete": "terminatejob", "priority": 4, "poolInfo": {"poolId": "q"}}, [WORK])
    assert NO_CHANGES in job.plan().lines
    job.write({"onAllTasksComplete": "terminatejob", "usesTaskDependencies": True}, [WORK], runPolicy="Once")
    assert NO_CHANGES in job.plan().lines
    assert os.environ["AZURE_BATCH_ENDPOINT"] == job.account.emulator.endpoint
