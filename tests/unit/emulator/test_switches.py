"""Every reading of the switches on release, empty pools and reimage; and the switches as people meet them."""

from __future__ import annotations

import pytest

from reconciler.emulator import jobs, machines, pools, switch_list
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.switches import Switches
from reconciler.emulator.times import SECOND

PREPARED = {
    "jobPreparationTask": {"id": "prep", "commandLine": "1 0"},
    "jobReleaseTask": {"id": "rel", "commandLine": "60 0"},
}


def ran(account):
    """A job of which one task has run on the one node."""
    account.pool()
    job = account.job(**PREPARED)
    account.task(job)
    account.pass_time(10)
    return job


@pytest.mark.parametrize(("reading", "releases", "seconds"), [("wait", 1, 55), ("cut", 1, 0.3), ("again", 2, 60)])
def test_deleting_a_terminating_job_treats_its_release_as_chosen(new_account, reading, releases, seconds):
    account = new_account(delete_while_terminating=reading)
    job = ran(account)
    account.do(jobs.terminate_by_request, job, None)
    account.pass_time(5)
    assert len(account.driver.words("rel")) == 1
    account.do(jobs.delete, job)
    account.pass_time(seconds - 0.1)
    assert "j" in account.w.jobs
    account.pass_time(0.3)
    assert "j" not in account.w.jobs
    assert len(account.driver.words("rel")) == releases


@pytest.mark.parametrize(("reading", "seconds", "result"), [("none", 0.2, "failure"), ("finish", 59, "success")])
def test_a_leaving_node_ends_or_finishes_a_release_as_chosen(new_account, reading, seconds, result):
    account = new_account(release_on_leaving_nodes=reading)
    job = ran(account)
    account.do(jobs.terminate_by_request, job, None)
    account.pass_time(1)
    account.do(pools.resize, account.w.pools["p"], {"targetDedicatedNodes": 0})
    account.pass_time(seconds - 0.1)
    assert len(account.nodes()) == 1
    account.pass_time(0.4)
    assert account.nodes() == []
    [here] = account.w.attendances_of_job["j"].values()
    assert here.release.result == result


@pytest.mark.parametrize(("reading", "releases"), [("none", 0), ("finish", 0), ("run", 1)])
def test_a_leaving_node_runs_owed_release_of_a_job_that_goes_on_if_chosen(new_account, reading, releases):
    account = new_account(release_on_leaving_nodes=reading)
    job = ran(account)
    account.do(pools.resize, account.w.pools["p"], {"targetDedicatedNodes": 0})
    account.pass_time(5)
    assert bool(account.nodes()) == (reading == "run")
    account.pass_time(60)
    assert (account.nodes(), job.state) == ([], "active")
    assert len(account.driver.words("rel")) == releases


def test_a_job_forced_to_end_has_no_release_running_or_to_come_on_a_leaving_node(new_account):
    account = new_account(release_on_leaving_nodes="run")
    job = ran(account)
    other = account.job("other", **PREPARED)
    account.task(other)
    account.pass_time(10)
    account.do(jobs.terminate_by_request, other, None, force=True)
    account.pass_time(5)
    account.do(pools.resize, account.w.pools["p"], {"targetDedicatedNodes": 0})
    account.pass_time(5)
    assert (len(account.driver.words("rel")), len(account.driver.live)) == (1, 1), "of the job that goes on"
    account.do(jobs.terminate_by_request, job, None, force=True)
    account.pass_time(5)
    assert (job.state, account.driver.live, account.nodes()) == ("completed", {}, [])


@pytest.mark.parametrize(
    ("reading", "with_nodes", "without"),
    [("current-and-target", False, True), ("current", False, True), ("target", False, True)],
)
def test_a_pool_is_empty_without_nodes_and_not_empty_with_them(new_account, reading, with_nodes, without):
    account = new_account(empty_pool_counts=reading)
    for pool_id, nodes, allowed in (("full", 1, with_nodes), ("empty", 0, without)):
        pool = account.pool(pool_id, nodes)
        account.pass_time(5)
        assert changes(account, pool) == allowed


@pytest.mark.parametrize(("reading", "allowed"), [("current-and-target", False), ("current", False), ("target", True)])
def test_nodes_on_their_way_out_count_as_chosen(new_account, reading, allowed):
    account = new_account(empty_pool_counts=reading)
    pool = account.pool()
    account.pass_time(5)
    account.do(pools.resize, pool, {"targetDedicatedNodes": 0})
    assert changes(account, pool) == allowed


@pytest.mark.parametrize(("reading", "allowed"), [("current-and-target", False), ("current", True), ("target", False)])
def test_nodes_on_their_way_in_count_as_chosen(new_account, reading, allowed):
    account = new_account(empty_pool_counts=reading)
    assert changes(account, account.pool()) == allowed


def changes(account, pool) -> bool:
    try:
        account.do(pools.update, pool, {"vmSize": "b"})
    except ServiceError as error:
        assert error.code == "OperationNotValidOnPool"
        return False
    return True


def reimage(account) -> None:
    account.do(machines.reimage_by_request, account.nodes()[0], {"nodeReimageOption": "requeue"})


def test_reimage_is_refused_unless_chosen(account):
    account.pool()
    account.pass_time(5)
    with pytest.raises(ServiceError, match="OperationNotValidOnNode"):
        reimage(account)


def test_a_reimaged_node_prepares_again_and_releases_only_what_ran_since(new_account):
    account = new_account(reimage_is_accepted=True)
    idle, busy = ran(account), account.job("busy", **PREPARED)
    account.task(busy)
    account.pass_time(5)
    reimage(account)
    account.pass_time(5)
    account.task(busy, "again")
    account.pass_time(5)
    assert len(account.driver.words("prep")) == 3
    for job in (idle, busy):
        account.do(jobs.terminate_by_request, job, None)
    account.pass_time(120)
    assert (idle.state, busy.state) == ("completed", "completed")
    assert [launch.directory.split("/")[1] for launch in account.driver.started if "/rel" in launch.directory] == [
        "busy"
    ]


def test_a_node_whose_preparation_failed_serves_the_job_again_after_a_reimage(new_account):
    account = new_account(reimage_is_accepted=True)
    account.pool()
    job = account.job(jobPreparationTask={"id": "prep", "commandLine": "1 3"})
    task = account.task(job)
    account.pass_time(5)
    assert (task.state, len(account.driver.words("prep"))) == ("active", 1)
    reimage(account)
    account.pass_time(5)
    assert len(account.driver.words("prep")) == 2


def test_a_deallocated_node_keeps_its_release_owed_until_it_is_started(account):
    job = ran(account)
    [node] = account.nodes()
    account.do(machines.deallocate_by_request, node, {"nodeDeallocateOption": "requeue"})
    account.do(jobs.terminate_by_request, job, None)
    account.pass_time(3600)
    assert (node.state, job.state) == ("deallocated", "terminating")
    account.do(machines.start_by_request, node)
    account.pass_time(120)
    assert (len(account.driver.words("rel")), job.state) == (1, "completed")


# --- as people meet them


def test_every_switch_says_what_it_means_and_takes_its_default_and_its_readings():
    for switch in switch_list.describe():
        assert switch.meaning
        assert switch_list.parse({switch.name: switch.default}) == Switches()
        for reading in switch.readings:
            if reading not in (switch_list.ANY_CODE, switch_list.ANY_SECONDS):
                chosen = switch_list.parse([f"{switch.name}={reading}"])
                assert switch_list.changed(chosen).get(switch.name, switch.default) == reading


def test_a_switch_of_time_is_given_in_seconds_and_one_of_codes_by_a_code_of_the_service():
    chosen = switch_list.parse(["clock_skew=60", "steady_stopresize_code=PoolBeingResized"])
    assert (chosen.clock_skew, chosen.steady_stopresize_code) == (60 * SECOND, "PoolBeingResized")


@pytest.mark.parametrize("text", ["nothing=true", "empty_job_completes=yes", "clock_skew", "steady_stopresize_code=Oh"])
def test_an_unknown_switch_or_reading_is_refused(text):
    with pytest.raises(switch_list.BadSwitch):
        switch_list.parse([text])
