"""A run against an account that answers from a script: what came up after the plan was approved."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler.errors import Denied, LockLost, Missing, Rejected
from reconciler.executor import End, Result, Run, Settings, approve, look
from reconciler.executor.execution import Execution
from reconciler.ledger import Ledger
from reconciler.lifecycle.runs import entry_of
from reconciler.lifecycle.steps import Action, Context, Verb
from reconciler.model.desired import Desired, Key
from reconciler.observed import LiveJob, LiveNode, LivePool, NodeRun, Observed, TaskCounts
from reconciler.planning import make_plan


@dataclass
class Account:
    """Answers with each snapshot in turn, and for ever with the last."""

    looks: Sequence[Observed]
    sent: list[str] = field(default_factory=list)
    seen: int = 0

    async def observe(self) -> Observed:
        self.seen += 1
        return self.looks[min(self.seen, len(self.looks)) - 1].with_children()

    async def task_counts(self, job: LiveJob) -> TaskCounts:
        return TaskCounts(succeeded=1)

    async def node_runs(self, job: LiveJob) -> tuple[NodeRun, ...]:
        return ()

    async def send(self, key: Key, name: str, action: Action) -> None:
        self.sent.append(f"{action.verb} {key}")


class Paper:
    """Journal, store and events that keep nothing but what was told; a clock that does not wait."""

    time = 0.0

    def __init__(self) -> None:
        self.told: list[str] = []

    def taken_over(self, key: Key, born: str) -> None:
        self.told.append(f"{key} {born}")

    async def write(self, event: str, /, **facts: Any) -> None: ...

    async def ledger(self) -> Ledger:
        return Ledger()

    def now(self) -> float:
        return self.time

    def utc(self) -> str:
        return "2026-01-02T00:00:00Z"

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def run(desired: Desired, account: Any, context: Context, paper: Any = None, **more: Any) -> Result:
    paper = paper or Paper()

    async def work() -> Result:
        plan = make_plan(desired, await look(account, desired, context, watch=False), context)
        settings = Settings(work=False, max_duration=60)
        return await Run(
            account, account, paper, paper, paper, paper, desired, context, settings, approve(plan), **more
        ).converge()

    return asyncio.run(work())


def test_a_job_of_a_schedule_that_ends_meanwhile_is_for_the_next_run(world: Any) -> None:
    wanted = world.schedule(life={"history": {"success": 1, "failure": 1}})
    live = world.live_schedule(wanted)

    def child(number: int, state: str) -> LiveJob:
        job: LiveJob = world.live_job(world.job(f"s:job-{number}"), state, stack=None)
        return job

    before = world.observed(live, child(1, "completed"), child(2, "active"))
    after = world.observed(live, child(1, "completed"), child(2, "completed"))
    account = Account([before, after])
    result = run(world.desired(wanted), account, world.context)
    assert (result.end, account.sent, dict(result.failures)) == (End.SETTLED, [], {})


def test_a_run_that_lost_its_lock_sends_nothing_and_stops(world: Any) -> None:
    stop = asyncio.Event()
    noted: list[tuple[str, Any]] = []

    class Noting(Paper):
        async def write(self, event: str, /, **facts: Any) -> None:
            noted.append((event, facts.get("error")))

    def permit() -> None:
        stop.set()  # as whoever holds the lock does when it is told
        raise LockLost("the lock s was broken")

    account = Account([world.observed(world.live_job(world.job()))])
    result = run(world.desired(world.job(priority=5)), account, world.context, Noting(), stop=stop, permit=permit)
    assert (result.end, account.sent, dict(result.failures)) == (End.IN_PROGRESS, [], {})
    assert result.stopped == "interrupted"
    assert noted == [("action", "update job/j: not sent: the lock s was broken")]


def test_a_change_that_does_not_take_is_an_error(world: Any) -> None:
    wanted = world.job(priority=5)
    account = Account([world.observed(world.live_job(world.job()))])
    result = run(world.desired(wanted), account, world.context)
    assert (result.end, account.sent) == (End.FAILED, ["update job/j"])
    assert "the service accepted: update; a fresh read still differs in priority" in result.failures[wanted.key]


def test_what_is_no_longer_blocked_is_for_the_next_plan(world: Any) -> None:
    pool = replace(world.live_pool(world.pool()), members=(LiveNode("n1", "idle"),))
    owing = world.live_job(world.job(), stack="other", nodes=(world.ran(),))
    paid = replace(owing, state="completed")
    account = Account([world.observed(pool, owing), world.observed(pool, paid)])
    result = run(world.desired(), account, world.context)
    assert (result.end, account.sent, dict(result.failures)) == (End.IN_PROGRESS, [], {})
    assert result.waiting == ("pool/p was blocked when the plan was approved, and now needs: delete",)


def test_a_job_that_somebody_deletes_before_its_results_were_read_leaves_no_empty_receipt(world: Any) -> None:
    class Emptied(Account):
        async def node_runs(self, job: LiveJob) -> tuple[NodeRun, ...]:
            raise Missing("read what its nodes did", "not found")

    account = Emptied([world.observed(world.live_job(world.job(), "completed"))])
    observed = asyncio.run(look(account, world.desired(), world.context, watch=False))
    assert not list(make_plan(world.desired(), observed, world.context).ready())
    gone = Emptied([*account.looks, world.observed()])
    result = run(world.desired(), gone, world.context)
    assert (result.end, gone.sent, dict(result.failures)) == (End.SETTLED, [], {})


@pytest.mark.parametrize("seen", ["terminating", "deleting"])
def test_an_id_that_somebody_else_took_over_is_left_alone_and_told(world: Any, seen: str) -> None:
    ours = world.live_job(world.job(jobPreparationTask=None, jobReleaseTask=None), "active")
    theirs = replace(ours, guard=replace(ours.guard, born="t1"), mark=None)
    looks = [world.observed(replace(ours, state=state)) for state in ("active", "active", seen)]
    account, paper = Account([*looks, world.observed(theirs)]), Paper()
    result = run(world.desired(), account, world.context, paper)
    assert (result.end, account.sent) == (End.SETTLED, ["terminate job/j"])
    assert set(paper.told) == {"job/j t1"}


def test_a_job_that_another_run_of_ours_created_anew_is_not_ended_for_the_old_ones_sake(world: Any) -> None:
    ours = world.live_job(world.job(jobPreparationTask=None, jobReleaseTask=None), "active")
    successor = replace(ours, guard=replace(ours.guard, born="t1"))
    looks = [world.observed(replace(ours, state=state)) for state in ("active", "active", "deleting")]
    account = Account([*looks, world.observed(successor)])
    result = run(world.desired(), account, world.context)
    assert (result.end, account.sent) == (End.FAILED, ["terminate job/j"])
    assert "it changed since the plan was approved" in str(result.failures)


def test_a_successor_is_not_created_over_a_job_of_somebody_else(world: Any) -> None:
    wanted = world.job(jobPreparationTask=None, jobReleaseTask=None, usesTaskDependencies=True)
    ours = world.live_job(world.job(jobPreparationTask=None, jobReleaseTask=None), counts=TaskCounts())
    theirs = replace(ours, guard=replace(ours.guard, born="t1"), mark=None)
    looks = [world.observed(replace(ours, state=state)) for state in ("active", "active", "deleting")]
    account, paper = Account([*looks, world.observed(theirs)]), Paper()
    result = run(world.desired(wanted), account, world.context, paper)
    assert (result.end, account.sent) == (End.BLOCKED, ["terminate job/j"])
    assert set(paper.told) == {"job/j t1"}


def test_what_a_node_owes_is_read_after_its_scheduling(world: Any) -> None:
    """Read the other way round, a task may prepare the node in between, and nobody would know of the release."""
    pool = world.pool(targetDedicatedNodes=1)
    job = world.live_job(world.job(), stack="other")

    class Busy(Account):
        ran: tuple[NodeRun, ...] = ()

        async def nodes(self, pool: Any) -> tuple[LiveNode, ...]:
            self.ran = (world.ran("n1"),)  # a task ends on n1 before it goes off scheduling
            return (LiveNode("n1", "offline", "disabled"), LiveNode("n2", "idle"))

        async def node_runs(self, job: LiveJob) -> tuple[NodeRun, ...]:
            return self.ran

    there = world.live_pool(pool, spec={**pool.spec, "targetDedicatedNodes": 2}, current=2)
    account: Any = Busy([world.observed(job, there)])
    seen = asyncio.run(look(account, world.desired(pool), world.context, watch=False))
    assert [run.node for run in seen.jobs[job.key].nodes or ()] == ["n1"]


@pytest.mark.parametrize("allowed", [True, False])
def test_nodes_that_may_not_be_read_do_not_keep_a_job_from_its_end(world: Any, allowed: bool) -> None:
    class Shy(Account):
        async def node_runs(self, job: LiveJob) -> tuple[NodeRun, ...]:
            return (world.ran("n1"),) if job.state == "terminating" else (world.ran("n1", release=0),)

        async def nodes(self, pool: LivePool) -> tuple[LiveNode, ...]:
            if not allowed:
                raise Denied("list the nodes", "you may not")
            return (LiveNode("n1", "offline"),)

    pool, job = world.live_pool(world.pool()), world.live_job(world.job())
    shown = world.observed(pool, replace(job, state="terminating"))
    account: Any = Shy([shown])
    desired = world.desired(world.pool())
    observed = asyncio.run(look(account, desired, world.context, watch=False))
    step = make_plan(desired, observed, world.context).entries[job.key].step
    assert "(n1 offline)" in str(step) if allowed else "(n1)" in str(step)


def test_nothing_is_waited_for_behind_an_object_that_was_given_up(world: Any) -> None:
    pool = replace(world.live_pool(world.pool()), members=(LiveNode("n1", "idle"),))
    unseen = world.live_job(world.job(), nodes=(world.ran(),))  # another process made it after the plan was approved
    account = Account([world.observed(pool), world.observed(pool, unseen)])
    result = run(world.desired(), account, world.context)
    assert (result.end, account.sent, [str(key) for key in result.failures]) == (End.FAILED, [], ["job/j"])
    assert (result.stopped, result.waiting) == ("", ())


def test_a_shrink_does_not_wait_for_the_release_of_a_job_that_was_given_up(world: Any) -> None:
    pool = replace(world.live_pool(world.pool()), members=(LiveNode("n1", "idle"), LiveNode("n2", "idle")))
    small, other = world.pool(targetDedicatedNodes=1), world.job(jobReleaseTask={"commandLine": "anew"})
    ours = {"nodes": (world.ran("n1"), world.ran("n2")), "counts": TaskCounts()}
    # Between the plan and the first look another process created the job as an older manifest has it.
    account = Account([world.observed(pool), world.observed(pool, world.live_job(world.job(), **ours))])
    result = run(world.desired(small, other), account, world.context)
    assert (result.end, [str(key) for key in result.failures]) == (End.FAILED, ["job/j"])
    assert (result.stopped, result.waiting) == ("", ())


def test_a_schedule_does_not_wait_for_a_job_that_was_given_up(world: Any) -> None:
    @dataclass
    class Refusing(Account):
        async def send(self, key: Key, name: str, action: Action) -> None:
            raise Rejected(f"{action.verb} {name}", "not today")

    there = world.live_schedule(world.schedule(), "disabled")
    child = world.live_job(world.job("s:job-1"), stack=None)
    result = run(world.desired(), Refusing([world.observed(there, child)]), world.context)
    assert (result.end, [str(key) for key in result.failures]) == (End.FAILED, ["job/s:job-1"])
    assert (result.stopped, result.waiting) == ("", ())


def test_nothing_is_waited_for_behind_what_is_for_the_next_plan(world: Any) -> None:
    @dataclass
    class Working(Account):
        async def task_counts(self, job: LiveJob) -> TaskCounts:
            return TaskCounts(running=1) if self.seen < 2 else TaskCounts(succeeded=1)

    pool = replace(world.live_pool(world.pool()), members=(LiveNode("n1", "idle"), LiveNode("n2", "idle")))
    wanted = world.job(jobReleaseTask={"commandLine": "anew"})  # replacing it would kill a task at first
    there = world.live_job(world.job(), nodes=(world.ran("n1"), world.ran("n2")))
    account = Working([world.observed(pool, there)])
    result = run(world.desired(world.pool(targetDedicatedNodes=1), wanted), account, world.context)
    assert (result.end, result.stopped, account.sent) == (End.IN_PROGRESS, "the rest is for the next plan", [])


def test_nodes_are_not_taken_by_a_look_that_came_late(world: Any) -> None:
    paper = Paper()

    class Slow(Account):
        async def observe(self) -> Observed:
            if self.seen == 1:  # the first look of the run; another job began while the list of jobs was on its way
                paper.time += 30
            return await super().observe()

    pool = replace(world.live_pool(world.pool()), members=(LiveNode("n1", "idle"),))
    begun = world.live_job(world.job(), stack="other", nodes=(world.ran(),))
    account = Slow([world.observed(pool), world.observed(pool), world.observed(pool, begun)])
    result = run(world.desired(), account, world.context, paper)
    assert (result.end, account.sent) == (End.BLOCKED, [])


def test_what_was_approved_for_one_incarnation_is_not_done_to_the_next(world: Any) -> None:
    ours = world.live_job(world.job(jobPreparationTask=None, jobReleaseTask=None), "active")
    successor = replace(ours, guard=replace(ours.guard, born="t1"))
    account = Account([world.observed(ours), world.observed(successor)])
    result = run(world.desired(), account, world.context)
    assert (result.end, account.sent) == (End.FAILED, [])
    assert "it changed since the plan was approved" in str(result.failures)


def test_a_run_is_written_down_before_its_job_is_deleted(world: Any) -> None:
    done: list[str] = []

    class Store(Paper):
        async def record(self, run: object) -> None:
            done.append("written down")

    class Sends(Account):
        async def send(self, key: Key, name: str, action: Action) -> None:
            done.append(action.verb)

    paper, account, wanted = Store(), Sends([]), world.job()
    live = world.live_job(wanted, "completed", counts=TaskCounts(succeeded=1))
    (entry,) = make_plan(world.desired(), world.observed(live), world.context).entries.values()
    action = Action(Verb.DELETE, "", live.guard, run=entry_of(wanted, live, world.context))
    asyncio.run(Execution(account, account, paper, paper, paper, paper, "s", lambda: None).carry_out(entry, action))
    assert done == ["written down", Verb.DELETE]
