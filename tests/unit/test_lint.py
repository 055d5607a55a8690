"""What lint finds over a whole stack, and what it leaves alone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.lint import QuotaLimits, Severity, lint
from reconciler.lint.commands import needs_shell
from reconciler.lint.preparation import hazards
from reconciler.lint.sizes import cores
from reconciler.model.desired import Desired, Key, Kind, Source, Stack, Task, Wanted
from reconciler.model.document import JobLifecycle, PoolLifecycle, ScheduleLifecycle

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VM: dict[str, Any] = {
    "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04-lts"},
    "nodeAgentSKUId": "batch.node.ubuntu 22.04",
}
CLEAN: dict[str, Any] = {
    "jobPreparationTask": {"commandLine": "mkdir -p data"},
    "jobReleaseTask": {"commandLine": "rm -rf data"},
}


def found(world: Any, *wanted: Wanted, limits: QuotaLimits | None = None, **options: Any) -> list[str]:
    """`severity address path: message` of every finding."""
    return [
        f"{one.severity} {one.address} {'.'.join(map(str, one.path))}: {one.message}"
        for one in lint(world.desired(*wanted), limits, NOW, **options)
    ]


def job(world: Any, name: str = "j", *, tasks: tuple[dict[str, Any], ...] = (), **spec: Any) -> Wanted:
    made = world.job(name, **{**CLEAN, **spec})
    for task in tasks:
        body = {"commandLine": "work", **task}
        one = world.task(
            body["id"], body["commandLine"], **{k: v for k, v in body.items() if k not in ("id", "commandLine")}
        )
        made.tasks[one.id] = one
    return made  # type: ignore[no-any-return]


def schedule(name: str, **specification: Any) -> Wanted:
    body = {"schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "p"}, **specification}}
    key = Key.of(Kind.JOB_SCHEDULE, name)
    return Wanted(key, name, {}, {}, body, ScheduleLifecycle(), Source("m.yaml", 9, 1))


def test_a_stack_that_is_well_has_no_findings(world: Any) -> None:
    tasks = (
        {"id": "1"},
        {"id": "2", "dependsOn": {"taskIds": ["1"]}},
        {"id": "m", "dependsOn": {"taskIdRanges": [{"start": 1, "end": 2}]}},
    )
    assert found(world, world.pool(), job(world, tasks=tasks, usesTaskDependencies=True), schedule("s")) == []


def test_findings_say_where_and_how_bad(world: Any) -> None:
    (one,) = lint(world.desired(job(world, poolInfo={"poolId": "elsewhere"})), None, NOW)
    assert (one.severity, one.address, one.source) == (Severity.HINT, "job/j", Source("m.yaml", 1, 1))
    assert one.path == ("spec", "poolInfo", "poolId")
    assert one.message == "pool 'elsewhere' is not declared here: its tasks wait until somebody makes it"


def test_a_pool_that_is_nearly_one_of_ours_is_named(world: Any) -> None:
    (one,) = lint(world.desired(world.pool("render"), job(world, poolInfo={"poolId": "rendr"})), None, NOW)
    assert one.message.endswith("is not declared here (did you mean 'render'?): its tasks wait until somebody makes it")


def test_a_stack_may_refuse_pools_of_others(world: Any) -> None:
    desired = world.desired(job(world, poolInfo={"poolId": "elsewhere"}))
    strict = replace(desired, stack=replace(desired.stack, refuses_other_pools=True))
    (one,) = lint(strict, None, NOW)
    assert one.severity is Severity.ERROR
    assert one.message.startswith("expected a pool that this stack declares (spec.undeclaredPools: Refuse), found 'el")
    assert lint(strict, None, NOW, whole=False) == ()  # it may be one that could not be read


@pytest.mark.documented("common rules of ids")
def test_jobs_and_schedules_share_one_space_of_ids(world: Any) -> None:
    assert found(world, world.pool(), job(world, "Nightly"), schedule("nightly")) == [
        "error jobschedule/nightly metadata.name: expected an id that no job has, found that of job/Nightly at m.yaml:1"
    ]


def test_a_schedules_jobs_are_checked_like_jobs(world: Any) -> None:
    asks = schedule(
        "s",
        jobPreparationTask={"commandLine": "mkdir data"},
        jobManagerTask={"id": "m", "commandLine": "go", "requiredSlots": 3},
    )
    assert found(world, world.pool(taskSlotsPerNode=2), asks) == [
        "error jobschedule/s spec.jobSpecification.jobManagerTask.requiredSlots: expected at most 2, the "
        "taskSlotsPerNode "
        "of pool/p, found 3",
        "warning jobschedule/s spec.jobSpecification.jobPreparationTask.commandLine: expected a preparation that can "
        "run "
        "again on a node, found 'mkdir data': it fails where the directory exists, write mkdir -p",
    ]


# Formulas


def test_each_problem_of_a_formula_is_told_with_its_place_in_the_formula(world: Any) -> None:
    pool = world.pool(
        enableAutoScale=True, targetDedicatedNodes=None, autoScaleFormula="x = 1;\n$TargetDedicatedNodes = y +;\nz = q"
    )
    assert found(world, pool) == [
        "error pool/p spec.autoScaleFormula: the formula's line 2, column 28: expected a value, found ';'",
        "error pool/p spec.autoScaleFormula: the formula's line 3, column 5: expected a variable that was set before, "
        "found 'q'",
    ]


def test_a_formula_that_sets_no_target_is_warned_of(world: Any) -> None:
    (line,) = found(world, world.pool(enableAutoScale=True, targetDedicatedNodes=None, autoScaleFormula="x = 1"))
    assert line.startswith(
        "warning pool/p spec.autoScaleFormula: expected a formula that sets $TargetDedicatedNodes or"
    )


def test_the_formula_of_an_auto_pool_is_checked_where_it_stands(world: Any) -> None:
    auto = {
        "autoPoolSpecification": {
            "pool": {"vmSize": "Standard_D2s_v3", "enableAutoScale": True, "autoScaleFormula": "x = y"}
        }
    }
    (line,) = found(world, job(world, poolInfo=auto))
    assert line.startswith(
        "error job/j spec.poolInfo.autoPoolSpecification.pool.autoScaleFormula: the formula's line 1"
    )


# Pools and what runs on them


@pytest.mark.documented("batch-parallel-node-tasks")
@pytest.mark.parametrize(
    ("size", "slots", "expected"),
    [
        ("Standard_D2s_v3", 8, None),
        ("Standard_D2s_v3", 9, "expected at most 8 (four times the 2 cores of Standard_D2s_v3), found 9"),
        ("STANDARD_D96S_V5", 256, None),
        ("Standard_Unknown", 256, None),
    ],
)
def test_slots_are_bound_by_cores(world: Any, size: str, slots: int, expected: str | None) -> None:
    lines = found(world, world.pool(vmSize=size, taskSlotsPerNode=slots))
    assert lines == ([f"error pool/p spec.taskSlotsPerNode: {expected}"] if expected else [])


@pytest.mark.documented("vm-naming-conventions")
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("Standard_D2s_v3", 2),
        ("standard_d3_v2", 4),
        ("Standard_DS15_v2", 20),
        ("Standard_D4_v3", 4),
        ("Standard_A9", 16),
        ("Standard_A2m_v2", 2),
        ("Basic_A2", 2),
        ("Standard_GS3", 8),
        ("Standard_E64-16s_v3", 16),
        ("Standard_NC24ads_A100_v4", 24),
        ("Standard_M176s_3_v3", 176),
        ("Standard_HB120rs_v3", 120),
        ("Standard", None),
        (None, None),
    ],
)
def test_cores_are_read_from_the_name_of_a_size(size: object, expected: int | None) -> None:
    assert cores(size) == expected


def test_a_task_that_needs_more_slots_than_a_node_has_is_an_error(world: Any) -> None:
    tasks = ({"id": "a", "requiredSlots": 2}, {"id": "b", "requiredSlots": 3})
    assert found(world, world.pool(taskSlotsPerNode=2), job(world, tasks=tasks)) == [
        "error task/j/b tasks.1.requiredSlots: expected at most 2, the taskSlotsPerNode of pool/p, found 3"
    ]


def test_containers_need_a_pool_with_containers(world: Any) -> None:
    settings = {"containerSettings": {"imageName": "busybox"}}
    runs = job(
        world,
        tasks=({"id": "a", **settings}, {"id": "b", **settings}),
        jobPreparationTask={"commandLine": "x", **settings},
    )
    without = world.pool(startTask={"commandLine": "x", **settings})
    assert found(world, without, runs) == [
        "error job/j spec.jobPreparationTask.containerSettings: expected a pool with containerConfiguration, found "
        "pool/p "
        "without",
        "error pool/p spec.startTask.containerSettings: expected a pool with containerConfiguration, found this one "
        "without",
        "error task/j/a tasks.0.containerSettings: expected a pool with containerConfiguration, found pool/p without "
        "(also in 1 more task)",
    ]
    images = {**VM, "containerConfiguration": {"type": "dockerCompatible"}}
    assert found(world, world.pool(virtualMachineConfiguration=images), runs) == []
    assert len(found(world, runs)) == 1  # a pool of somebody else's is not judged


def test_a_named_user_must_be_one_of_the_pool(world: Any) -> None:
    runs = job(world, tasks=({"id": "a", "userIdentity": {"username": "bob"}},))
    assert found(world, world.pool(userAccounts=[{"name": "ann"}]), runs) == [
        "error task/j/a tasks.0.userIdentity.username: expected a user account of pool/p (ann), found 'bob'"
    ]
    assert found(world, world.pool(userAccounts=[{"name": "bob"}]), runs) == []


def test_tasks_of_several_nodes_need_nodes_that_talk(world: Any) -> None:
    runs = job(world, tasks=({"id": "a", "multiInstanceSettings": {"coordinationCommandLine": "go"}},))
    (line,) = found(world, world.pool(), runs)
    assert line.startswith(
        "error task/j/a tasks.0.multiInstanceSettings: expected a pool with enableInterNodeCommunication"
    )
    assert found(world, world.pool(enableInterNodeCommunication=True), runs) == []


@pytest.mark.documented("batch-quota-limit")
def test_limits_across_fields_of_a_pool(world: Any) -> None:
    pool = world.pool(
        enableInterNodeCommunication=True,
        targetDedicatedNodes=60,
        targetLowPriorityNodes=41,
        applicationPackageReferences=[{"applicationId": str(n)} for n in range(11)],
        mountConfiguration=[{}] * 10,
    )
    assert found(world, pool) == [
        "error pool/p spec.applicationPackageReferences: expected at most 10 items, found 11",
        "error pool/p spec.enableInterNodeCommunication: expected at most 100 nodes where they talk to each other, "
        "found 101",
    ]


# Dependencies


def test_unknown_ids_bad_ranges_and_a_job_without_dependencies_are_errors(world: Any) -> None:
    tasks = (
        {"id": "1"},
        {"id": "2", "dependsOn": {"taskIds": ["1", "nine"]}},
        {"id": "03", "dependsOn": {"taskIdRanges": [{"start": 1, "end": 5}, {"start": 4, "end": 3}]}},
    )
    assert found(world, world.pool(), job(world, tasks=tasks)) == [
        "error job/j spec: expected usesTaskDependencies: true, since its tasks depend on others",
        "error task/j/2 tasks.1.dependsOn.taskIds.1: expected the id of a task of the job, found 'nine'",
        "error task/j/03 tasks.2.dependsOn.taskIdRanges.0: expected tasks with the ids 1 to 5, found none with the "
        "id 3 "
        "and 2 more",
        "error task/j/03 tasks.2.dependsOn.taskIdRanges.1.end: expected an end of at least 4, found 3",
    ]


def test_a_job_manager_may_add_what_is_not_declared(world: Any) -> None:
    tasks = ({"id": "a", "dependsOn": {"taskIds": ["b"]}},)
    manager = {"id": "m", "commandLine": "go"}
    (line,) = found(world, world.pool(), job(world, tasks=tasks, jobManagerTask=manager, usesTaskDependencies=True))
    assert line.startswith("warning task/j/a") and line.endswith("found 'b' (unless the job manager adds it)")


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["A"]}, ["a -> b -> c -> a"]),
        ({"a": ["a"]}, ["a -> a"]),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),
        ({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}, ["a -> b -> a", "c -> d -> c"]),
    ],
)
def test_circles_are_shown(world: Any, depends: dict[str, list[str]], expected: list[str]) -> None:
    tasks = tuple({"id": id_, "dependsOn": {"taskIds": ids}} for id_, ids in depends.items())
    lines = found(world, world.pool(), job(world, tasks=tasks, usesTaskDependencies=True))
    assert [line.partition("found ")[2] for line in lines] == expected


def test_a_circle_through_a_range_is_found_and_long_chains_are_no_trouble(world: Any) -> None:
    tasks = (
        {"id": "1"},
        {"id": "2", "dependsOn": {"taskIdRanges": [{"start": 1, "end": 3}]}},
        {"id": "3", "dependsOn": {"taskIds": ["2"]}},
    )
    lines = found(world, world.pool(), job(world, tasks=tasks, usesTaskDependencies=True))
    assert [line.partition("found ")[2] for line in lines] == ["2 -> 2", "2 -> 3 -> 2"]
    chain = tuple({"id": f"t{n}", "dependsOn": {"taskIds": [f"t{(n + 1) % 3000}"]}} for n in range(3000))
    (line,) = found(world, world.pool(), job(world, tasks=chain, usesTaskDependencies=True))
    assert line.endswith(
        "t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> (2,989 more) -> t2995 -> t2996 -> t2997 -> t2998 -> t2999 -> t0"
    )


def test_many_tasks_that_wait_for_one_great_range_make_no_great_graph(world: Any) -> None:
    first = tuple({"id": str(n)} for n in range(3000))
    after = tuple({"id": f"m{n}", "dependsOn": {"taskIdRanges": [{"start": 0, "end": 2999}]}} for n in range(3000))
    assert found(world, world.pool(), job(world, tasks=first + after, usesTaskDependencies=True)) == []


# Signatures


@pytest.mark.parametrize(
    ("query", "severity"),
    [
        ("sv=2024&sig=abc%3D&se=2026-02-28T23%3A59%3A00Z", "warning"),
        ("se=2026-02-01&sig=x", "warning"),
        ("se=2026-03-07T00:00Z&sig=x", "warning"),
        ("se=2026-03-09T00:00:00Z&sig=x", None),
        ("se=2026-01-01", None),
        ("si=policy&sig=x", None),
    ],
)
def test_signatures_are_held_against_the_horizon(world: Any, query: str, severity: str | None) -> None:
    tasks = (
        {"id": "a", "resourceFiles": [{"httpUrl": f"https://s.blob.core.windows.net/c/f?{query}", "filePath": "f"}]},
    )
    lines = found(world, world.pool(), job(world, tasks=tasks))
    assert [line.split(":")[0] for line in lines] == (
        [f"{severity} task/j/a tasks.0.resourceFiles.0.httpUrl"] if severity else []
    )
    assert not any("abc" in line or "sig=" in line for line in lines)


def test_bare_tokens_of_mounts_and_urls_in_command_lines_are_read_too(world: Any) -> None:
    mounts = [{"azureBlobFileSystemConfiguration": {"sasKey": "?sv=1&se=2026-01-01T00:00:00Z&sig=x"}}]
    start = {"commandLine": "curl -fo f 'https://s.blob.core.windows.net/c/f?se=2026-03-02T00%3A00%3A00Z&sig=x'"}
    assert [line.split(": ")[0] for line in found(world, world.pool(mountConfiguration=mounts, startTask=start))] == [
        "warning pool/p spec.mountConfiguration.0.azureBlobFileSystemConfiguration.sasKey",
        "warning pool/p spec.startTask.commandLine",
    ]
    assert found(world, world.pool(startTask=start), horizon=timedelta(hours=1)) == []


# Quotas


def test_what_cannot_fit_into_the_quotas_is_an_error(world: Any) -> None:
    pools = [
        world.pool(name, vmSize="Standard_D4s_v3", targetDedicatedNodes=3, targetLowPriorityNodes=1) for name in "abc"
    ]
    limits = QuotaLimits(dedicated_cores=30, low_priority_cores=12, pools=2, active_jobs_and_schedules=1)
    jobs = [job(world, "x", poolInfo={"poolId": "a"}), job(world, "y", poolInfo={"poolId": "a"})]
    assert found(world, *pools, *jobs, limits=limits) == [
        "warning job/y spec: expected at most 1 active jobs and schedules, the account's quota, found 2: the last "
        "have to "
        "wait until others have ended",
        "error pool/c spec: expected at most 2 pools, the account's quota, found 3",
        "error pool/c spec.targetDedicatedNodes: expected at most 30 dedicated cores, the account's quota, found 36 "
        "up to "
        "here",
    ]
    assert found(world, *pools, *jobs, limits=QuotaLimits()) == []


def test_an_autoscaled_pool_counts_with_the_least_it_may_ask_for(world: Any) -> None:
    text = "$TargetDedicatedNodes = max(3, $PendingTasks)"
    pool = world.pool(vmSize="Standard_D4s_v3", enableAutoScale=True, targetDedicatedNodes=None, autoScaleFormula=text)
    (line,) = found(world, pool, limits=QuotaLimits(dedicated_cores=11))
    assert line.startswith("error pool/p spec.autoScaleFormula: expected at most 11 dedicated cores")
    assert found(world, pool, limits=QuotaLimits(dedicated_cores=12)) == []


# Command lines


@pytest.mark.documented("commandLine")
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo $HOME", "$HOME"),
        ('echo "${AZ_BATCH_JOB_ID}"', "${AZ_BATCH_JOB_ID}"),
        ("echo `date`", "`"),
        ("a && b", "&&"),
        ("a || b", "||"),
        ("a | b", "|"),
        ("a > b", ">"),
        ("a 2>> b", ">>"),
        ("a < b", "<"),
        ("a; b", ";"),
        ("cd x", "cd in front"),
        ("A=1 prog", "A= in front"),
        ("bash run.sh > log", ">"),
        ("sh -c 'a' && b", "&& outside the quotes of its script"),
        ("sh -c 'a && $B > c'", None),
        ('/bin/bash -ec "a | $B"', None),
        ("/usr/bin/env bash -lc 'a | b'", None),
        ("sudo -E sh -c 'a | b'", None),
        ('cmd /c "a && %B%"', None),
        ("cmd.exe /C a > b", None),
        ("powershell -Command a | b", None),
        ("awk '{print $1 > \"f\"}' f", None),
        ("grep 'a|b' f", None),
        ("pip install x>=1.0", None),
        ("curl http://h/?a=1&b=2", None),
        ("echo \\$HOME", None),
        ("echo it's", None),
    ],
)
def test_what_only_a_shell_does_is_found_where_none_is_started(command: str, expected: str | None) -> None:
    assert needs_shell(command) == expected


def test_a_command_line_without_a_shell_is_warned_of_once_for_all_tasks(world: Any) -> None:
    tasks = tuple({"id": f"t{n}", "commandLine": f"run --id {n} > log"} for n in range(3))
    assert found(world, world.pool(), job(world, tasks=tasks)) == [
        "warning task/j/t0 tasks.0.commandLine: expected a program and its arguments, found >: no shell is started, "
        "write "
        "/bin/sh -c '...' (also in 2 more tasks)"
    ]


def test_the_shell_to_write_is_that_of_the_pools_nodes(world: Any) -> None:
    windows = world.pool(virtualMachineConfiguration={**VM, "nodeAgentSKUId": "batch.node.windows amd64"})
    (line,) = found(world, windows, job(world, tasks=({"id": "a", "commandLine": "dir %TEMP%"},)))
    assert line.endswith('found %TEMP%: no shell is started, write cmd /c "..."')
    assert found(world, world.pool(), job(world, tasks=({"id": "a", "commandLine": "date +%Y%m%d"},))) == []


def test_an_image_may_bring_the_shell(world: Any) -> None:
    images = world.pool(virtualMachineConfiguration={**VM, "containerConfiguration": {"type": "dockerCompatible"}})
    tasks = ({"id": "a", "commandLine": "a && b", "containerSettings": {"imageName": "busybox"}},)
    assert found(world, images, job(world, tasks=tasks)) == []


# Preparation


@pytest.mark.documented("JobPreparationTask")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("mkdir x", ["'mkdir x'"]),
        ("mkdir x 2>/dev/null", ["'mkdir x'"]),
        ("mkdir -p x; mkdir -vp y; mkdir --parents z", []),
        ("mkdir x || true", []),
        ("[ -d x ] || mkdir x", []),
        ("[ -d x ] || (mkdir x && mkdir y); mkdir z", ["'mkdir z'"]),
        ("[ -d x ] || { mkdir x; mkdir y; }; mkdir z", ["'mkdir z'"]),
        ("test ! -d x && mkdir x", []),
        ("if [ ! -d x ]; then\n  mkdir x\nfi\nmkdir y", ["'mkdir y'"]),
        ("for i in 1 2; do mkdir d$i; done", ["'mkdir d$i'"]),
        ("rm -rf x && mkdir x && mkdir x/y", []),
        ("D=$(mktemp -d); cd $D; mkdir x", []),
        ("mkdir $(date +%s)", []),
        ("echo a # mkdir b\nmkdir c", ["'mkdir c'"]),
        ("cat <<EOF\nmkdir x\nEOF", []),
        ("sudo -u root useradd -m app", ["'useradd app'"]),
        ("id -u app || useradd app; groupadd -f g", []),
        ("ln -s a b", ["'ln -s ... b'"]),
        ("ln -sfn a b; ln -s --force a c; ln -nsf a d", []),
        ("mv a b", ["'mv a'"]),
        ("curl -o a http://h/a && mv a b", []),
        ("echo x >> f", ["'>> f'"]),
        ("echo x > f; echo y >> f", []),
        ("grep -q x f || echo x >> f", []),
        ("echo x | tee -a f", ["'tee -a'"]),
        ("git clone https://user:token@h/r.git", ["'git clone'"]),
        ("test -d r/.git || git clone --depth 1 https://h/r.git", []),
        ("rm -rf r; git clone --depth 1 https://h/r.git", []),
        ("mkfs.ext4 /dev/sdb", ["'mkfs.ext4'"]),
        ("echo 'unfinished", []),
        ("apt-get install -y x && pip install y", []),
    ],
)
def test_what_cannot_run_again_is_found_in_scripts(script: str, expected: list[str]) -> None:
    quoted = script.replace("'", "'\\''")
    assert [one for one, _ in hazards(f"/bin/sh -c '{quoted}'")] == expected


@pytest.mark.parametrize(
    ("files", "safe"),
    [
        ([], False),
        ([{"httpUrl": "https://h/a", "filePath": "a"}], True),
        ([{"httpUrl": "https://h/a", "filePath": "b"}], False),
        ([{"storageContainerUrl": "https://h/c", "filePath": "in"}], False),
        ([{"autoStorageContainerName": "c"}], True),
    ],
)
def test_what_is_downloaded_at_every_run_may_be_moved(world: Any, files: list[dict[str, str]], safe: bool) -> None:
    task = {"commandLine": "mv a /mnt/a", "resourceFiles": files}
    assert (found(world, world.pool(), job(world, jobPreparationTask=task)) == []) is safe


def test_a_preparation_that_cannot_run_again_is_warned_of_with_the_remedy(world: Any) -> None:
    task = {"commandLine": "git clone https://user:token@h/r.git"}
    assert found(world, world.pool(), job(world, jobPreparationTask=task)) == [
        "warning job/j spec.jobPreparationTask.commandLine: expected a preparation that can run again on a node, found "
        "'git clone': it fails where r exists, test for r/.git first"
    ]
    once = {**task, "rerunOnNodeRebootAfterSuccess": False}
    assert found(world, world.pool(), job(world, jobPreparationTask=once)) == []
    (line,) = found(world, world.pool(startTask=task))
    assert line.startswith("warning pool/p spec.startTask.commandLine: expected a start task that can run again")


# Anything


SPECIFICATION: dict[str, Any] = {
    "poolInfo": {"poolId": "p"},
    "usesTaskDependencies": True,
    "jobPreparationTask": {"commandLine": "sh -c 'mkdir x >> f'", "containerSettings": {"imageName": "i"}},
    "jobManagerTask": {"id": "m", "commandLine": "echo $X", "requiredSlots": 2, "userIdentity": {"username": "u"}},
}
BODIES: list[dict[str, Any]] = [
    {
        "vmSize": "Standard_D2s_v3",
        "virtualMachineConfiguration": {"nodeAgentSKUId": "batch.node.windows", "containerConfiguration": None},
        "enableAutoScale": True,
        "autoScaleFormula": "$TargetDedicatedNodes = 3",
        "enableInterNodeCommunication": True,
        "taskSlotsPerNode": 300,
        "startTask": {"commandLine": "git clone http://h/r", "resourceFiles": [{"httpUrl": "https://h/?se=2&sig=y"}]},
        "userAccounts": [{"name": "u"}],
        "mountConfiguration": [{"azureBlobFileSystemConfiguration": {"sasKey": "se=2026-01-01&sig=x"}}],
    },
    SPECIFICATION,
    {"jobSpecification": {**SPECIFICATION, "poolInfo": {"autoPoolSpecification": {"pool": {"vmSize": "Basic_A2"}}}}},
    {
        "commandLine": "a && b",
        "dependsOn": {"taskIds": ["a", "b"], "taskIdRanges": [{"start": 1, "end": 2}]},
        "multiInstanceSettings": {"coordinationCommandLine": "a | b"},
    },
]
ODD: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "(",
        "sh -c",
        "sh -c 'mkdir",
        "git clone",
        "https://[?se=x&sig=y",
        "se=2026-13-01&sig=x",
    ),
    *([], [None], [[]], ["a", 1], [{}], {}, {"a": 1}, ["a"] * 3, "sudo -u", ">>", "mv", "ln -s"),
]


def spoilt(value: Any) -> Iterator[Any]:
    """*value* with something odd in one place, for every place."""
    yield from ODD
    if isinstance(value, dict):
        for name, below in value.items():
            yield from ({**value, name: odd} for odd in spoilt(below))
    elif isinstance(value, list):
        for at, below in enumerate(value):
            yield from ([*value[:at], odd, *value[at + 1 :]] for odd in spoilt(below))


@pytest.mark.parametrize("which", range(4), ids=["pool", "job", "schedule", "task"])
def test_whatever_a_body_holds_lint_ends_with_findings(which: int) -> None:
    source = Source("m.yaml", 1, 1)
    for changed in spoilt(BODIES[which]):
        bodies = list(BODIES)
        bodies[which] = changed if isinstance(changed, dict) else {}
        pool, job, schedule, task = bodies
        tasks = {"a": Task("a", {}, {**task, "id": "a"})}
        objects = (
            Wanted(Key.of(Kind.POOL, "p"), "p", {}, {}, pool, PoolLifecycle(), source),
            Wanted(Key.of(Kind.JOB, "j"), "j", {}, {}, job, JobLifecycle(), source, tasks),
            Wanted(Key.of(Kind.JOB_SCHEDULE, "j"), "j", {}, {}, schedule, ScheduleLifecycle(), source),
        )
        desired = Desired(Stack("s", prunes=True), {one.key: one for one in objects})
        found = lint(desired, QuotaLimits(1, 1, 0, 0), NOW)
        assert "jobschedule/j" in {one.address for one in found}  # it has the job's id
