"""What is left of a job at each way that it ends: released once on every node that prepared, its receipt and logs kept.

On real processes, one account for all, the command line in this process; each test has a stack and a job of its own.
"""

import asyncio
import contextlib
import io
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError

from reconciler.azure import connect
from reconciler.cli.main import main
from reconciler.emulator import Emulator
from reconciler.errors import Moved
from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Key, Kind, Task
from tests.e2e.conftest import POOL, STACK, Ran, pointed_at

_NUMBERS = itertools.count(1)
SPEAKS = "echo prepared; echo $AZ_BATCH_JOB_ID >> $AZ_BATCH_NODE_SHARED_DIR/prepared.txt"
FAILS = "echo released; echo full >&2; echo $AZ_BATCH_JOB_ID >> $AZ_BATCH_NODE_SHARED_DIR/released.txt; exit 5"
RELEASES = FAILS.replace("exit 5", "exit 0")


@dataclass
class Account:
    """The emulator, a client that looks at it, and where the state of the command line is."""

    emulator: Emulator
    client: BatchClient
    home: Path


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Pool `p` with one node."""
    home = tmp_path_factory.mktemp("ends")
    base = home / "base"
    base.mkdir()
    (base / "stack.yaml").write_text(STACK.replace("name: s", "name: base"), "utf-8")
    pool = POOL.replace("targetDedicatedNodes: 2", "targetDedicatedNodes: 1\n  taskSlotsPerNode: 8")
    (base / "p.yaml").write_text(pool, "utf-8")
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

    def write(self, release: str = RELEASES, task: str = "true", life: str = "{}", more: str = "") -> None:
        (self.folder / "job.yaml").write_text(
            f"""\
apiVersion: reconciler/v1
kind: Job
metadata: {{name: {self.name}}}
spec:
  poolInfo: {{poolId: p}}
  jobPreparationTask: {{commandLine: /bin/sh -c '{SPEAKS}'}}
  jobReleaseTask: {{commandLine: /bin/sh -c '{release}'}}
{more}lifecycle: {life}
tasks:
- {{id: t1, commandLine: /bin/sh -c 'echo worked; {task}'}}
""",
            "utf-8",
        )

    def remove(self) -> None:
        (self.folder / "job.yaml").unlink()

    def apply(self, *flags: str) -> Ran:
        return run("apply", str(self.folder), "--auto-approve", "--detailed-exitcode", "--allow-deletes", "9", *flags)

    @property
    def state(self) -> str:
        found = [job.state for job in self.account.client.list_jobs() if job.id == self.name]
        return str(found[0].value) if found and found[0] else "absent"

    def count(self, name: str) -> int:
        """The lines that this job's preparation or release tasks wrote on all nodes."""
        files = (self.account.emulator.state / "nodes").glob(f"*/*/shared/{name}.txt")
        return sum(path.read_text("utf-8").split("\n").count(self.name) for path in files)

    @property
    def _kept(self) -> Path:
        (stack,) = self.account.home.glob(f".local/state/reconciler/stacks/*/{self.folder.name}")
        return stack

    @property
    def gate(self) -> Path:
        """A release may wait for this file."""
        return self.account.home / f"{self.name}.go"

    @property
    def receipts(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text("utf-8")) for path in sorted(self._kept.glob("receipts/*.json"))]

    @property
    def journal(self) -> list[dict[str, Any]]:
        segments = sorted(self._kept.glob("journal/*.jsonl"))
        return [json.loads(line) for path in segments for line in path.read_text("utf-8").splitlines()]

    @property
    def logs(self) -> dict[str, str]:
        """The captured logs, without incarnation and node."""
        found = {path: path.relative_to(self._kept / "logs").parts[1:] for path in self._kept.glob("logs/*/*/*/*")}
        return {
            "/".join(parts if parts[0] == "tasks" else parts[1:]): path.read_text("utf-8")
            for path, parts in sorted(found.items())
        }


@pytest.fixture
def job(account: Account) -> Iterator[Job]:
    name = f"e{next(_NUMBERS)}"
    folder = account.home / name
    folder.mkdir()
    (folder / "stack.yaml").write_text(STACK.replace("name: s", f"name: {name}"), "utf-8")
    made = Job(folder, name, account)
    yield made
    made.gate.touch()
    left = ("--allow-release-failure", f"job/{name}", "--max-duration", "30s")
    run("destroy", str(folder), "--auto-approve", *left)


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (answer := true()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return answer


def test_a_failed_release_is_held_with_its_evidence_in_the_store(job: Job) -> None:
    job.write(FAILS)
    assert job.apply().code == 0
    job.remove()
    held = job.apply()
    assert (held.code, job.state) == (4, "completed")
    (receipt,) = job.receipts
    assert (receipt["job"], receipt["capture"], len(receipt["nodes"])) == (job.name, "OnFailure", 1)
    release = receipt["nodes"][0]["release"]
    assert (release["exit_code"], release["failure"]["category"], release["failure"]["code"]) == (
        5,
        "UserError",
        "FailureExitCode",
    )
    assert release["started"] <= release["ended"]
    assert job.logs == {"release/stderr.txt": "full\n", "release/stdout.txt": "released\n"}
    (line,) = [line for line in held.lines if "blocked: kept" in line]
    born = receipt["born"]
    assert f"receipts/{job.name}@{born}.json" in line
    assert f"logs/{job.name}@{born}" in line
    assert f"(allow it with --allow-release-failure job/{job.name})" in line

    again = job.apply()
    assert (again.code, again.out.count("receipt,")) == (4, 0)  # once
    status = run("status", f"job/{job.name}").out
    assert f"receipts/{job.name}@{born}.json" in status
    assert "Degraded" in run("status", str(job.folder)).out

    assert job.apply("--allow-release-failure", f"job/{job.name}").code == 0
    assert (job.state, job.receipts, len(job.logs)) == ("absent", [receipt], 2)
    gone = run("status", f"job/{job.name}")
    assert gone.code == 1
    assert f"there is no job/{job.name}; it left receipt " in gone.err
    assert f"receipts/{job.name}@{born}.json" in gone.err
    assert (job.count("prepared"), job.count("released")) == (1, 1)


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        ("Never", set()),
        ("OnFailure", {"tasks/t1"}),
        ("Always", {"tasks/t1", "preparation", "release"}),
    ],
)
def test_logs_are_kept_as_the_manifest_that_is_gone_asked_for(job: Job, capture: str, expected: set[str]) -> None:
    job.write(task="exit 3", life=f"{{captureLogs: {capture}}}")
    assert job.apply().code == 6  # its task failed
    job.remove()
    assert job.apply().code == 0
    assert {path.rpartition("/")[0] for path in job.logs} == expected
    assert all(text in ("", "worked\n", "prepared\n", "released\n", "full\n") for text in job.logs.values())
    (receipt,) = job.receipts
    assert receipt["capture"] == capture
    assert (job.state, job.count("released")) == ("absent", 1)


def test_a_node_that_is_gone_does_not_keep_its_job(job: Job) -> None:
    job.write(FAILS, life="{captureLogs: Always, onReleaseFailure: Delete}")
    assert job.apply().code == 0
    rules = [{"kind": "status", "path": "/files/", "times": None, "status": 409, "code": "NodeNotReady"}]
    job.remove()
    job.account.emulator.faults(rules)
    try:
        gone = job.apply()
    finally:
        job.account.emulator.faults([])
    assert (gone.code, job.state, job.logs) == (0, "absent", {})
    (receipt,) = job.receipts
    assert len(receipt["logs"]) == 4
    assert all("NodeNotReady" in log["missing"] or "409" in log["missing"] for log in receipt["logs"])
    assert "release/stdout.txt: " in gone.out


def test_a_replaced_job_and_its_successor_have_receipts_of_their_own(job: Job) -> None:
    job.write()
    assert job.apply().code == 0
    job.write(more="  commonEnvironmentSettings: [{name: A, value: '1'}]\n")
    assert job.apply().code == 0
    job.remove()
    assert job.apply().code == 0
    assert len({receipt["born"] for receipt in job.receipts}) == 2
    assert (job.count("prepared"), job.count("released")) == (2, 2)


def test_a_release_that_hangs_is_waited_for_until_somebody_forces_the_end(job: Job) -> None:
    job.write(RELEASES.replace("exit 0", "sleep 600"))
    assert job.apply().code == 0
    nothing = job.apply("--dangerous-force", f"job/{job.name}")
    assert (nothing.code, job.state) == (64, "active")
    assert "the plan neither terminates nor deletes it" in nothing.err
    job.remove()
    until(lambda: job.apply("--max-duration", "1s").code == 3 and job.state == "terminating")
    until(lambda: job.count("released") == 1)
    assert job.apply("--max-duration", "1s", "--dangerous-force", "pool/p").code == 64

    forced = job.apply("--dangerous-force", f"job/{job.name}")
    assert (forced.code, job.state) == (0, "absent")
    assert "road: delete with force" in forced.out
    assert "releases that have not run may be lost" in forced.out
    (asked,) = [row for row in job.journal if row["event"] == "consent" and row["flag"] == "--dangerous-force"]
    assert (asked["object"], asked["born"]) == (f"job/{job.name}", job.receipts[0]["born"])
    assert "@" in asked["who"]
    assert asked["command"] == "apply"
    (sent,) = [row for row in job.journal if row["event"] == "action" and row.get("force")]
    assert (sent["verb"], sent["error"]) == ("delete", None)
    assert asked["at"] < sent["at"]
    assert job.receipts[0]["nodes"][0]["release"]["state"] == "running"


OLD = ("update", "enable", "disable", "terminate", "delete", "add-tasks", "update-tasks", "delete-tasks")


@pytest.mark.parametrize("verb", OLD)
def test_no_request_meant_for_a_job_reaches_one_that_was_created_anew(job: Job, verb: str) -> None:
    """Somebody deletes the job and creates another under its id between our look and our request."""
    create = {"id": job.name, "poolInfo": {"poolId": "nowhere"}}
    task = {"id": "t1", "commandLine": "/bin/true"}
    client = job.account.client

    def born() -> dict[str, Any]:
        client.create_job(create)
        client.create_task(job.name, task)
        return client.get_job(job.name).as_dict()

    async def send() -> None:
        emulator = job.account.emulator
        async with connect(emulator.endpoint, emulator.account, emulator.key, use_proxies=False) as there:
            key = Key.of(Kind.JOB, job.name)
            ours = (await there.observe()).jobs[key]
            its = (await there.tasks(ours))["t1"]
            client.begin_delete_job(job.name, polling_interval=0).result()
            theirs.append(born())
            body = {"disableTasks": "wait"} if verb == "disable" else {}
            declared = (Task("t1", its.spec, task),)
            action = Action(Verb(verb), "", ours.guard, body, tasks=declared, guards=(its.guard,), names=("t1",))
            if verb == "add-tasks":
                action = replace(action, tasks=(Task("t2", its.spec, {**task, "id": "t2"}),))
            await there.send(key, ours.name, action)

    theirs: list[dict[str, Any]] = []
    born()
    with pytest.raises(Moved):
        asyncio.run(send())
    assert client.get_job(job.name).as_dict() == theirs[0]
    assert [one.id for one in client.list_tasks(job.name)] == ["t1"]
    client.begin_delete_job(job.name, polling_interval=0).result()


WAYS: dict[str, tuple[str, str]] = {
    "removed": ("{}", ""),
    "kept completed, then removed": ("{state: Completed}", ""),
    "ended by its last task, then by its time to live": (
        "{ttlAfterCompletion: {success: PT1S}}",
        "  onAllTasksComplete: terminatejob\n",
    ),
    "ended by its wall clock, then by its time to live": (
        "{ttlAfterCompletion: {success: PT1S, failure: PT1S}}",
        "  constraints: {maxWallClockTime: PT3S}\n",
    ),
    "destroyed": ("{}", ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_the_end_releases_once_and_leaves_a_receipt(job: Job, way: str) -> None:
    life, more = WAYS[way]
    job.write(more=more)
    assert job.apply().code == 0
    assert job.count("prepared") == 1
    if life != "{}":
        job.write(more=more, life=life)
        until(lambda: job.apply().code == 0 and job.state == ("absent" if "ttl" in life else "completed"))
    if way == "destroyed":
        assert run("destroy", str(job.folder), "--auto-approve").code == 0
    else:
        job.remove()
        assert job.apply().code == 0
    assert (job.state, job.count("prepared"), job.count("released")) == ("absent", 1, 1)
    (receipt,) = job.receipts
    assert [node["release"]["exit_code"] for node in receipt["nodes"]] == [0]


@pytest.mark.parametrize("what", ["terminates", "deletes"])
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_somebody_else_may_end_the_job_at_any_point_of_its_road(job: Job, what: str, when: str) -> None:
    release = RELEASES.replace("exit 0", f"until test -e {job.gate}; do sleep 0.05; done")
    job.write(release)
    assert job.apply().code == 0

    def portal() -> None:
        client = job.account.client
        with contextlib.suppress(HttpResponseError):  # the service may refuse what has been asked for already
            if what == "deletes":
                client.begin_delete_job(job.name, polling_interval=0)
            else:
                client.begin_terminate_job(job.name, options={"terminateReason": "portal"}, polling_interval=0)

    if when == "after":
        job.gate.touch()
        job.write(release, life="{state: Completed}")
        assert job.apply().code == 0
        assert job.state == "completed"
        portal()
    job.remove()
    if when == "before":
        portal()
    elif when == "during":
        assert job.apply("--max-duration", "1s").code == 3
        until(lambda: job.count("released") == 1)
        portal()
    job.gate.touch()
    assert job.apply().code == 0
    assert (job.state, job.count("prepared"), job.count("released")) == ("absent", 1, 1)


def test_jobs_of_a_schedule_beyond_its_history_leave_receipts_and_logs(job: Job) -> None:
    schedule = f"""\
apiVersion: reconciler/v1
kind: JobSchedule
metadata: {{name: {job.name}}}
spec:
  schedule: {{recurrenceInterval: PT1H}}
  jobSpecification:
    poolInfo: {{poolId: p}}
    jobManagerTask:
      {{id: m, commandLine: /bin/true, killJobOnCompletion: true, userIdentity: {{autoUser: {{}}}}}}
    jobPreparationTask: {{commandLine: /bin/sh -c '{SPEAKS}'}}
    jobReleaseTask: {{commandLine: /bin/sh -c '{RELEASES}'}}
lifecycle: {{captureLogs: Always, history: {{success: 0, failure: 0}}}}
"""
    (job.folder / "schedule.yaml").write_text(schedule, "utf-8")
    assert job.apply().code == 0
    until(lambda: job.apply().code == 0 and job.receipts)
    (receipt,) = job.receipts
    assert (receipt["job"], receipt["stack"]) == (f"{job.name}:job-1", job.name)
    assert [node["release"]["exit_code"] for node in receipt["nodes"]] == [0]
    assert {path.rpartition("/")[0] for path in job.logs} == {"preparation", "release"}
    files = (job.account.emulator.state / "nodes").glob("*/*/shared/released.txt")
    assert sum(path.read_text("utf-8").split("\n").count(receipt["job"]) for path in files) == 1
