"""`import --all` into the folder of the stack that owns everything: the plan stays empty, in all states of things."""

from typing import Any

import pytest
import yaml

from tests.commands.conftest import JOB, POOL

SCHEDULE = """\
apiVersion: reconciler/v1
kind: JobSchedule
metadata: {name: etl}
spec:
  schedule: {recurrenceInterval: PT1H}
  jobSpecification: {poolInfo: {poolId: p}}
"""
AUTO = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: own-pool}
spec:
  poolInfo:
    autoPoolSpecification:
      autoPoolIdPrefix: made
      poolLifetimeOption: job
      keepAlive: true
      pool:
        vmSize: Standard_D2s_v3
        virtualMachineConfiguration:
          imageReference: {publisher: canonical, offer: 0001-com-ubuntu-server-jammy, sku: 22_04-lts}
          nodeAgentSKUId: batch.node.ubuntu 22.04
        targetDedicatedNodes: 1
"""
SLOW_RELEASE = JOB.replace(
    "spec: {poolInfo: {poolId: p}}",
    "spec:\n  poolInfo: {poolId: p}\n  jobPreparationTask: {commandLine: /bin/true}\n"
    "  jobReleaseTask: {commandLine: /bin/sleep 600}",
)


def named(text: str, name: str) -> str:
    return text.replace("metadata: {name: j}", f"metadata: {{name: {name}}}").replace(
        "{name: etl}", f"{{name: {name}}}"
    )


def taken_over(desk: Any, *flags: str) -> dict[str, Any]:
    """All manifests but the Stack replaced by what `import --all` writes; the imported ones by file name."""
    for path in desk.folder.iterdir():
        if path.name != "stack.yaml":
            path.unlink()
    done = desk.run("import", "--all", "--out", str(desk.folder), *flags)
    assert done.code == 0, done.err
    desk.said = done.err
    return {
        path.stem: yaml.safe_load(path.read_text("utf-8")) for path in desk.folder.iterdir() if path.stem != "stack"
    }


def plans_empty(desk: Any, *flags: str) -> None:
    planned = desk.run("plan", str(desk.folder), "--detailed-exitcode", *flags)
    assert planned.code == 0, planned.out + planned.err
    assert planned.out.endswith("No changes. The account matches the manifests.\n")


def test_pools_jobs_and_schedules_in_all_states_that_stay(desk: Any) -> None:
    desk.write(
        pool=POOL,
        scaled=POOL.replace("{name: p}", "{name: scaled}").replace(
            "targetDedicatedNodes: 1", "enableAutoScale: true\n  autoScaleFormula: $TargetDedicatedNodes = 0;"
        ),
        kept=POOL.replace("{name: p}", "{name: kept}") + "lifecycle: {preventDestroy: true, deletionPolicy: Orphan}\n",
        active=named(JOB, "active"),
        disabled=named(JOB, "disabled"),
        done=named(JOB, "done").replace("}}", "}, onAllTasksComplete: terminatejob}"),
        ended=named(JOB, "ended"),
        loose=named(JOB, "loose") + "lifecycle: {onReleaseFailure: Delete, captureLogs: Always}\n",
        etl=SCHEDULE,
        etl_disabled=named(SCHEDULE, "etl-disabled") + "lifecycle: {state: Disabled}\n",
        etl_ended=named(SCHEDULE, "etl-ended"),
        etl_over=named(SCHEDULE, "etl-over").replace("PT1H", "PT1H, doNotRunAfter: '2000-01-01T00:00:00Z'"),
        auto=AUTO,
    )
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(
        disabled=named(JOB, "disabled") + "lifecycle: {state: Disabled}\n",
        ended=named(JOB, "ended") + "lifecycle: {state: Completed}\n",
        etl_ended=named(SCHEDULE, "etl-ended") + "lifecycle: {state: Completed}\n",
    )
    desk.apply()
    desk.simulation.run_until_idle()
    plans_empty(desk)
    found = taken_over(desk)
    assert {name: it["lifecycle"] for name, it in found.items() if "lifecycle" in it} == {
        "pool-kept": {"preventDestroy": True, "deletionPolicy": "Orphan"},
        "job-disabled": {"state": "Disabled"},
        "job-done": {"state": "Completed"},
        "job-ended": {"state": "Completed"},
        "job-loose": {"onReleaseFailure": "Delete", "captureLogs": "Always"},
        "jobschedule-etl-disabled": {"state": "Disabled"},
        "jobschedule-etl-ended": {"state": "Completed"},
        "jobschedule-etl-over": {"state": "Completed"},
    }
    assert {"pool-p", "pool-scaled", "job-active", "job-own-pool", "jobschedule-etl"} <= set(found)
    assert not [name for name in found if name.startswith("pool-made")]
    assert "is left out: job/own-pool has it as its auto pool" in desk.said
    assert "take the line out to have it run anew" in (desk.folder / "job-done.yaml").read_text("utf-8")
    plans_empty(desk)
    desk.apply("--check-tasks")  # the marks learn that the manifests are others, which say the same
    plans_empty(desk, "--check-tasks")


def test_a_job_that_is_ending_stays_named_and_its_plan_only_waits(desk: Any) -> None:
    desk.write(pool=POOL, job=SLOW_RELEASE)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.simulation.request("POST", "/jobs/j/terminate")
    found = taken_over(desk)
    assert found["job-j"]["lifecycle"] == {"state": "Completed"}
    planned = desk.run("plan", str(desk.folder))
    assert "delete" not in planned.out.lower().replace("0 to delete", "")
    desk.simulation.run_until_idle()
    plans_empty(desk)


@pytest.mark.parametrize("prefix", ["  autoPoolIdPrefix: made\n", ""])
def test_an_auto_pool_that_outlived_its_job_is_known_by_its_id(desk: Any, prefix: str) -> None:
    desk.write(auto=AUTO.replace("      autoPoolIdPrefix: made\n", prefix and f"    {prefix}"))
    desk.apply()
    (desk.folder / "auto.yaml").unlink()
    desk.run("apply", str(desk.folder), "--auto-approve", "--allow-deletes", "9")
    desk.simulation.run_until_idle()
    (pool,) = [it["id"] for it in desk.simulation.get("/pools")["value"]]
    assert taken_over(desk) == {}
    assert f"pool/{pool} is left out: its id is that of an auto pool; name it to import it" in desk.said
    assert desk.run("import", f"pool/{pool}").code == 0


def test_what_has_ended_and_is_no_stacks_is_left_out_and_said(desk: Any) -> None:
    for body in ({"id": "theirs", "poolInfo": {"poolId": "x"}}, {"id": "ending", "poolInfo": {"poolId": "x"}}):
        desk.simulation.request("POST", "/jobs", body)
    desk.simulation.request("POST", "/jobs/theirs/terminate")
    desk.simulation.run_until_idle()
    assert set(taken_over(desk)) == {"job-ending"}
    assert "job/theirs is left out: it is completed and no stack's; name it to import it" in desk.said
