"""Every row of the reference's pool tables (8.1, 16): the change is made by apply, and the plan is empty afterwards.

The one row that is missing is `mountConfiguration`: the emulator has no file systems to mount and refuses it by name.
"""

import time
from typing import Any

import pytest
from azure.batch import BatchClient
from azure.batch.models import BatchPoolResizeOptions
from azure.core.credentials import AzureNamedKeyCredential

NO_CHANGES = "No changes. The account matches the manifests."
MACHINE = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: p}
spec:
  vmSize: Standard_D2s_v3
  virtualMachineConfiguration:
    imageReference: {publisher: canonical, offer: 0001-com-ubuntu-server-jammy, sku: 22_04-lts}
    nodeAgentSKUId: batch.node.ubuntu 22.04
"""
JOB = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec:
  poolInfo: {poolId: p}
"""
RELEASING = (
    JOB
    + """\
  jobPreparationTask: {commandLine: /bin/true}
  jobReleaseTask:
    commandLine: /bin/sh -c 'echo released >> "$AZ_BATCH_NODE_SHARED_DIR/released.txt"'
"""
)


def pool(bench: Any, *lines: str, targets: str = "targetDedicatedNodes: 2", life: str = "") -> None:
    """The pool's manifest with these lines in its spec, and a lifecycle. No other object is declared."""
    text = MACHINE + "".join(f"  {line}\n" for line in (targets, *lines) if line)
    bench.write(pool=text + (f"lifecycle: {{{life}}}\n" if life else ""), job=None)


def job(bench: Any, head: str, *commands: str) -> None:
    tasks = "".join(f"- {{id: t{number}, commandLine: {command}}}\n" for number, command in enumerate(commands))
    bench.write(job=f"{head}tasks:\n{tasks}" if tasks else head)


def client(bench: Any) -> BatchClient:
    emulator = bench.emulator
    return BatchClient(emulator.endpoint, AzureNamedKeyCredential(emulator.account, emulator.key))


def there(bench: Any) -> dict[str, Any]:
    """The live pool as the service tells it."""
    return dict(client(bench).get_pool("p").as_dict())


def nodes(bench: Any) -> dict[str, Any]:
    return {node.id: node for node in client(bench).list_nodes("p")}


def applied(bench: Any, *flags: str) -> Any:
    """Apply to the end, and see that nothing is left to do."""
    ran = bench.apply("--detailed-exitcode", *flags)
    assert ran.code == 0, ran.out + ran.err
    again = bench.run("plan", str(bench.folder), "--detailed-exitcode")
    assert again.code == 0, again.out
    assert NO_CHANGES in again.out
    mark = next(item["value"] for item in there(bench)["metadata"] if item["name"] == "reconciler")
    assert "aside" not in mark
    assert {node.scheduling_state for node in nodes(bench).values()} <= {"enabled"}
    return ran


def begun(bench: Any) -> None:
    """Apply what a test begins with."""
    ran = bench.apply()
    assert ran.code == 0, ran.out + ran.err


def wait_until(what: str, is_so: Any) -> None:
    deadline = time.monotonic() + 90
    while not is_so():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.05)


def package(bench: Any, name: str) -> None:
    program = bench.emulator.state / "applications" / name / "1" / "hello"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("hello", "utf-8")
    (program.parents[1] / "application.json").write_text('{"defaultVersion": "1"}', "utf-8")


@pytest.mark.parametrize(
    ("before", "after", "name", "value"),
    [
        ((), ("metadata: [{name: a, value: b}]",), "metadata", {"a": "b"}),
        (("metadata: [{name: a, value: b}]",), (), "metadata", {}),
        ((), ("startTask: {commandLine: echo 1}",), "startTask", "echo 1"),
        (("startTask: {commandLine: id, maxTaskRetryCount: 1}",), ("startTask: {commandLine: ls}",), "startTask", "ls"),
        ((), ("applicationPackageReferences: [{applicationId: one}]",), "applicationPackageReferences", ["one"]),
        (("applicationPackageReferences: [{applicationId: one}]",), (), "applicationPackageReferences", []),
    ],
)  # fmt: skip
def test_fields_that_change_at_any_time(
    bench: Any, before: tuple[str, ...], after: tuple[str, ...], name: str, value: Any
) -> None:
    package(bench, "one")
    pool(bench, *before, targets="targetDedicatedNodes: 1")
    begun(bench)
    kept = set(nodes(bench))
    pool(bench, *after, targets="targetDedicatedNodes: 1")
    applied(bench)
    live = there(bench)
    found = {
        "metadata": {item["name"]: item["value"] for item in live["metadata"] if item["name"] != "reconciler"},
        "startTask": live.get("startTask", {}).get("commandLine"),
        "applicationPackageReferences": [
            item["applicationId"] for item in live.get("applicationPackageReferences", [])
        ],
    }
    assert found[name] == value
    assert set(nodes(bench)) == kept


def test_a_start_task_is_taken_off_and_the_packages_stay(bench: Any) -> None:
    package(bench, "one")
    packages = "applicationPackageReferences: [{applicationId: one}]"
    pool(bench, packages, "metadata: [{name: a, value: b}]", "startTask: {commandLine: echo 1}")
    begun(bench)
    pool(bench, packages, "metadata: [{name: a, value: c}]")
    ran = applied(bench)
    assert "road: replace properties" in ran.out
    live = there(bench)
    assert "startTask" not in live
    assert [item["applicationId"] for item in live["applicationPackageReferences"]] == ["one"]
    assert {"name": "a", "value": "c"} in live["metadata"]


@pytest.mark.parametrize(
    ("targets", "dedicated", "spot", "timeout"),
    [
        ("targetDedicatedNodes: 3", 3, 0, "PT15M"),
        ("targetDedicatedNodes: 1", 1, 0, "PT15M"),
        ("{targetDedicatedNodes: 1, targetLowPriorityNodes: 2}", 1, 2, "PT15M"),
        ("{targetDedicatedNodes: 2, resizeTimeout: PT7M}", 2, 0, "PT7M"),
    ],
)
def test_targets_and_resize_timeout_go_through_resize(
    bench: Any, targets: str, dedicated: int, spot: int, timeout: str
) -> None:
    pool(bench)
    begun(bench)
    lines = targets.strip("{}").split(", ")
    pool(bench, *lines[1:], targets=lines[0])
    applied(bench)
    live = there(bench)
    assert (live["currentDedicatedNodes"], live["currentLowPriorityNodes"]) == (dedicated, spot)
    assert live["resizeTimeout"] == timeout


def test_a_target_that_others_changed_after_ours_is_drift(bench: Any) -> None:
    pool(bench, targets="targetDedicatedNodes: 0")
    begun(bench)
    pool(bench, targets="targetDedicatedNodes: 1")
    ran = applied(bench)
    assert "road: resize -> update its mark" in ran.out
    client(bench).begin_resize_pool("p", BatchPoolResizeOptions(target_dedicated_nodes=0))
    ran = bench.run("plan", str(bench.folder))
    assert "Changed behind our back (drift):" in ran.out
    pool(bench, targets="targetDedicatedNodes: 2")
    ran = bench.run("plan", str(bench.folder))
    assert "(drift)" not in ran.out


TWO = "targetDedicatedNodes: 2"
FORMULA = "autoScaleFormula: $TargetDedicatedNodes = {n}"
ON = "enableAutoScale: true"
INTERVAL = "autoScaleEvaluationInterval: PT6M"
SCALING = [
    ("on", ("targetDedicatedNodes: 2",), (ON, FORMULA.format(n=1)), "enable autoscale", 1),
    ("off", (ON, FORMULA.format(n=1)), ("targetDedicatedNodes: 2",), "disable autoscale -> resize", 2),
    ("interval", (ON, FORMULA.format(n=1)), (ON, FORMULA.format(n=1), INTERVAL), "enable autoscale", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "road", "count"), [row[1:] for row in SCALING], ids=[r[0] for r in SCALING]
)
def test_autoscale_goes_on_and_off_and_gets_another_interval(
    bench: Any, before: tuple[str, ...], after: tuple[str, ...], road: str, count: int
) -> None:
    pool(bench, *before, targets="")
    begun(bench)
    if INTERVAL in after:  # the service enables autoscale of a pool only once in 30 seconds
        client(bench).disable_pool_auto_scale("p")
    pool(bench, *after, targets="")
    ran = applied(bench)
    assert f"road: {road}" in ran.out
    live = there(bench)
    assert live["enableAutoScale"] is (ON in after)
    assert live["currentDedicatedNodes"] == count
    if INTERVAL in after:
        assert live["autoScaleEvaluationInterval"] == "PT6M"


def test_a_changed_formula_is_evaluated_in_the_plan(bench: Any) -> None:
    pool(bench, ON, FORMULA.format(n=1), targets="")
    begun(bench)
    pool(bench, ON, FORMULA.format(n=2), targets="")
    ran = bench.run("plan", str(bench.folder))
    assert "pool/p: its formula, evaluated now: $TargetDedicatedNodes=2" in ran.out
    pool(bench, ON, FORMULA.format(n="avg($PendingTasks.GetSample(TimeInterval_Minute, 99))"), targets="")
    ran = bench.run("plan", str(bench.folder))
    assert "evaluated now: InsufficientSampleData" in ran.out or "evaluated now: AutoScaling" in ran.out, ran.out
    denied = {"kind": "status", "status": 403, "code": "InsufficientAccountPermissions", "path": "evaluateautoscale"}
    bench.emulator.faults([denied | {"times": None}])
    ran = bench.run("plan", str(bench.folder))
    assert ran.code == 0
    assert "its formula, evaluated now: the service did not evaluate it" in ran.out


def test_a_formula_that_others_changed_is_drift(bench: Any) -> None:
    pool(bench, ON, FORMULA.format(n=1), targets="")
    begun(bench)
    emulator = client(bench)
    emulator.disable_pool_auto_scale("p")
    emulator.enable_pool_auto_scale("p", {"autoScaleFormula": "$TargetDedicatedNodes = 2"})
    ran = bench.run("plan", str(bench.folder))
    assert "Changed behind our back (drift):" in ran.out
    assert "why: drift" in ran.out


def test_nodes_that_go_are_not_said_to_keep_a_start_task(bench: Any) -> None:
    pool(bench, targets="targetDedicatedNodes: 1")
    begun(bench)
    pool(bench, "startTask: {commandLine: id}", targets="targetDedicatedNodes: 1")
    assert "1 node keeps the start task and packages it has until" in bench.run("plan", str(bench.folder)).out
    both = ("startTask: {commandLine: id}", "taskSlotsPerNode: 2")
    pool(bench, *both, targets="targetDedicatedNodes: 1", life="rollout: ScaleToZero")
    assert "start task and packages" not in bench.run("plan", str(bench.folder)).out


def test_a_changed_formula_is_enabled(bench: Any) -> None:
    pool(bench, ON, FORMULA.format(n=1), targets="")
    begun(bench)
    pool(bench, ON, FORMULA.format(n=2), targets="")
    applied(bench)
    assert there(bench)["currentDedicatedNodes"] == 2


EMPTY = [
    ("displayName: For people", "displayName", "For people"),
    ("taskSlotsPerNode: 2", "taskSlotsPerNode", 2),
    ("enableInterNodeCommunication: true", "enableInterNodeCommunication", True),
    ("taskSchedulingPolicy: {nodeFillType: pack}", "taskSchedulingPolicy", "pack"),
    ("userAccounts: [{name: u, password: not-returned}]", "userAccounts", "u"),
    ("upgradePolicy: {mode: automatic}", "upgradePolicy", "automatic"),
    ("networkConfiguration: {enableAcceleratedNetworking: true}", "networkConfiguration", True),
]


def seen(live: dict[str, Any], name: str) -> Any:
    value = live.get(name)
    match name:
        case "taskSchedulingPolicy":
            return value["nodeFillType"].lower()
        case "networkConfiguration":
            return value["enableAcceleratedNetworking"]
        case "userAccounts":
            return value[0]["name"]
        case "upgradePolicy":
            return value["mode"].lower()
    return value


@pytest.mark.parametrize(("line", "name", "value"), EMPTY, ids=[row[1] for row in EMPTY])
def test_an_empty_pool_takes_what_needs_one(bench: Any, line: str, name: str, value: Any) -> None:
    pool(bench, targets="targetDedicatedNodes: 0")
    begun(bench)
    born = there(bench)["creationTime"]
    pool(bench, line, targets="targetDedicatedNodes: 0")
    applied(bench)
    live = there(bench)
    assert seen(live, name) == value
    assert live["creationTime"] == born


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [("Standard_D2s_v3", "Standard_D4s_v3", "vmSize"), ("22_04-lts", "24_04-lts", "virtualMachineConfiguration")],
)
def test_the_machine_of_an_empty_pool_changes(bench: Any, old: str, new: str, name: str) -> None:
    pool(bench, targets="targetDedicatedNodes: 0")
    begun(bench)
    path = bench.folder / "pool.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    applied(bench)
    assert new.lower() in str(there(bench)[name]).lower()


def test_a_pool_with_nodes_waits_for_a_person_by_default(bench: Any) -> None:
    pool(bench)
    begun(bench)
    kept = set(nodes(bench))
    pool(bench, "taskSlotsPerNode: 2")
    before = bench.last_request
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 4
    assert "taskSlotsPerNode can change only while the pool has no nodes" in ran.out
    assert bench.writes(since=before) == []
    assert set(nodes(bench)) == kept


def test_scale_to_zero_takes_the_nodes_away_and_brings_them_back(bench: Any) -> None:
    pool(bench)
    begun(bench)
    born, old = there(bench)["creationTime"], set(nodes(bench))
    pool(bench, "taskSlotsPerNode: 2", life="rollout: ScaleToZero")
    ran = applied(bench)
    assert "road: resize -> wait for its nodes to leave, up to 15 min -> update -> resize" in ran.out
    live = there(bench)
    assert (live["taskSlotsPerNode"], live["creationTime"]) == (2, born)
    assert len(nodes(bench)) == 2
    assert old.isdisjoint(nodes(bench))


def test_scale_to_zero_of_a_pool_that_scales(bench: Any) -> None:
    pool(bench, ON, FORMULA.format(n=1), targets="", life="rollout: ScaleToZero")
    begun(bench)
    pool(bench, ON, FORMULA.format(n=1), "taskSlotsPerNode: 2", targets="", life="rollout: ScaleToZero")
    applied(bench)
    live = there(bench)
    assert (live["taskSlotsPerNode"], live["enableAutoScale"], live["currentDedicatedNodes"]) == (2, True, 1)


def test_a_pool_is_replaced_and_its_jobs_wait_for_the_new_one(bench: Any) -> None:
    pool(bench, life="rollout: Replace")
    job(bench, JOB, "/bin/true")
    begun(bench)
    born = client(bench).get_job("j").creation_time, there(bench)["creationTime"]
    pool(bench, "displayName: new", life="rollout: Replace")
    job(bench, JOB, "/bin/true")
    ran = applied(bench)
    assert "road: delete -> wait for the service to remove its nodes -> create" in ran.out
    assert there(bench)["displayName"] == "new"
    assert there(bench)["creationTime"] != born[1]
    assert client(bench).get_job("j").creation_time == born[0]


def test_a_pool_is_replaced_by_request(bench: Any) -> None:
    pool(bench)
    begun(bench)
    born = there(bench)["creationTime"]
    applied(bench, "--replace", "pool/p")
    assert there(bench)["creationTime"] != born


def test_a_replaced_pool_does_not_cut_tasks_off_without_consent(bench: Any) -> None:
    pool(bench, targets="targetDedicatedNodes: 1")
    job(bench, JOB, "/bin/sh -c 'sleep 300'")
    assert bench.apply("--no-wait").code == 0
    wait_until("the task", lambda: client(bench).get_job_task_counts("j").task_counts.running == 1)
    wait_until("the node", lambda: [n.running_tasks_count for n in nodes(bench).values()] == [1])
    born = there(bench)["creationTime"]
    pool(bench, "displayName: new", targets="targetDedicatedNodes: 1", life="rollout: Replace")
    job(bench, JOB, "/bin/sh -c 'sleep 300'")
    ran = bench.apply("--detailed-exitcode", "--no-wait")
    assert ran.code == 4
    assert "1 task running on its nodes would start again (allow it with --allow-task-loss pool/p)" in ran.out
    assert there(bench)["creationTime"] == born
    assert bench.apply("--no-wait", "--allow-task-loss", "pool/p").code == 0
    assert there(bench)["displayName"] == "new"


def test_a_shrink_lets_running_tasks_end(bench: Any) -> None:
    pool(bench)
    job(bench, JOB, "/bin/sh -c 'sleep 4'", "/bin/sh -c 'sleep 4'")
    assert bench.apply("--no-wait").code == 0
    wait_until("the tasks", lambda: client(bench).get_job_task_counts("j").task_counts.running == 2)
    pool(bench, targets="targetDedicatedNodes: 1")
    job(bench, JOB, "/bin/sh -c 'sleep 4'", "/bin/sh -c 'sleep 4'")
    applied(bench)
    tasks = list(client(bench).list_tasks("j"))
    assert [(task.execution_info.exit_code, task.execution_info.requeue_count) for task in tasks] == [(0, 0), (0, 0)]
    assert len(nodes(bench)) == 1


def test_a_resize_that_is_pending_is_stopped_for_another(bench: Any) -> None:
    pool(bench)
    job(bench, JOB, "/bin/sh -c 'sleep 300'", "/bin/sh -c 'sleep 300'")
    assert bench.apply("--no-wait").code == 0
    wait_until("the tasks", lambda: client(bench).get_job_task_counts("j").task_counts.running == 2)
    away = BatchPoolResizeOptions(target_dedicated_nodes=0, node_deallocation_option="taskcompletion")
    client(bench).begin_resize_pool("p", away)
    pool(bench, targets="targetDedicatedNodes: 3")
    job(bench, JOB, "/bin/sh -c 'sleep 300'", "/bin/sh -c 'sleep 300'")
    ran = bench.apply("--no-wait", "--detailed-exitcode")
    assert ran.code == 3  # its tasks run
    assert "road: stop resize -> wait for the pending resize to end" in ran.out
    assert len(nodes(bench)) == 3
    assert client(bench).get_job_task_counts("j").task_counts.running == 2


def test_a_shrink_takes_the_nodes_that_owe_no_release(bench: Any) -> None:
    pool(bench, targets="targetDedicatedNodes: 3")
    job(bench, RELEASING, "/bin/true")
    begun(bench)
    (run,) = client(bench).list_job_preparation_and_release_task_status("j")
    pool(bench, targets="targetDedicatedNodes: 1")
    job(bench, RELEASING, "/bin/true")
    ran = applied(bench)
    road = "choose 2 nodes -> disable scheduling on 2 nodes -> remove 2 nodes -> update its mark -> wait for"
    assert f"road: {road}" in ran.out
    assert set(nodes(bench)) == {run.node_id}
    bench.write(job=None)
    applied(bench)
    assert bench.shared("released.txt") == {run.node_id: ["released"]}


def test_a_shrink_without_enough_such_nodes_waits_for_a_person(bench: Any) -> None:
    pool(bench)
    job(bench, RELEASING, "/bin/true")
    begun(bench)
    (run,) = client(bench).list_job_preparation_and_release_task_status("j")
    pool(bench, targets="targetDedicatedNodes: 0")
    job(bench, RELEASING, "/bin/true")
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 4
    assert "2 nodes have to go, and only 1 owes no release: job/j on " in ran.out
    assert "--allow-release-loss job/j" in ran.out
    assert len(nodes(bench)) == 2
    assert run.node_id in nodes(bench)
    applied(bench, "--allow-release-loss", "job/j")
    assert nodes(bench) == {}


@pytest.mark.parametrize(
    "change",
    [(ON, FORMULA.format(n=0)), (TWO, "taskSlotsPerNode: 2"), (TWO, "displayName: x")],
    ids=["autoscale", "scale to zero", "replace"],
)  # fmt: skip
def test_other_ways_to_lose_nodes_wait_for_a_person_too(bench: Any, change: tuple[str, ...]) -> None:
    pool(bench)
    job(bench, RELEASING, "/bin/true")
    begun(bench)
    kept = set(nodes(bench))
    pool(bench, *change, targets="", life="rollout: Replace" if "displayName: x" in change else "rollout: ScaleToZero")
    job(bench, RELEASING, "/bin/true")
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 4
    assert "--allow-release-loss job/j" in ran.out
    assert set(nodes(bench)) == kept
    assert {node.scheduling_state for node in nodes(bench).values()} == {"enabled"}


def test_nodes_keep_an_old_start_task_until_they_restart_and_that_is_said(bench: Any) -> None:
    pool(bench, "startTask: {commandLine: echo 1}")
    begun(bench)
    pool(bench, "startTask: {commandLine: echo 2}")
    ran = bench.apply()
    assert "pool/p: 2 nodes keep the start task and packages they have until they restart" in ran.out
    ran = bench.run("plan", str(bench.folder), "--detailed-exitcode")
    assert (ran.code, "pool/p: 2 of 2 nodes run an old start task or packages" in ran.out) == (0, True)
    assert "pool/p: 2 of 2 nodes run an old" in bench.run("status", str(bench.folder)).out


@pytest.mark.parametrize(
    ("bench", "life"),
    [(None, "RebootIdle"), ({"reimage_is_accepted": "true"}, "ReimageIdle")],
    indirect=["bench"],
    ids=["reboot", "reimage"],
)
def test_a_changed_start_task_is_brought_to_the_nodes(bench: Any, life: str) -> None:
    pool(bench, "startTask: {commandLine: echo 1}", targets="targetDedicatedNodes: 3", life=f"nodeRollout: {life}")
    begun(bench)
    before = nodes(bench)
    pool(bench, "startTask: {commandLine: echo 2}", targets="targetDedicatedNodes: 3", life=f"nodeRollout: {life}")
    ran = applied(bench)
    verb = "reboot" if life == "RebootIdle" else "reimage"
    assert f"update -> choose 1 node -> disable scheduling on 1 node -> {verb} 1 node -> wait for" in ran.out
    after = nodes(bench)
    assert after.keys() == before.keys()
    assert {node.start_task.command_line for node in after.values()} == {"echo 2"}
    assert all(node.last_boot_time > before[node.id].last_boot_time for node in after.values())


def test_a_node_that_may_not_be_reimaged_is_put_back(bench: Any) -> None:
    pool(bench, "startTask: {commandLine: echo 1}", life="nodeRollout: ReimageIdle")
    begun(bench)
    pool(bench, "startTask: {commandLine: echo 2}", life="nodeRollout: ReimageIdle")
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 6
    assert "OperationNotValidOnNode" in ran.out
    assert {node.scheduling_state for node in nodes(bench).values()} == {"enabled"}


def test_a_missing_line_neither_empties_nor_replaces_a_pool(bench: Any) -> None:
    pool(bench, "taskSlotsPerNode: 2", life="rollout: Replace")
    begun(bench)
    kept = set(nodes(bench))
    pool(bench, life="rollout: Replace")
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 4
    assert "no line of the manifest speaks of it" in ran.out
    assert set(nodes(bench)) == kept


def test_a_kept_pool_is_not_replaced(bench: Any) -> None:
    pool(bench)
    begun(bench)
    born = there(bench)["creationTime"]
    pool(bench, "taskSlotsPerNode: 2", life="rollout: Replace, preventDestroy: true")
    ran = bench.apply("--detailed-exitcode")
    assert ran.code == 4
    assert "lifecycle.preventDestroy" in ran.out
    assert there(bench)["creationTime"] == born
