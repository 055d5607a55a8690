"""The controller in its loop on a virtual clock, against the simulated account."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler.controller.loop import Conduct
from reconciler.controller.state import Mode, PassEnd, StackStatus
from reconciler.errors import Finding, ManifestErrors, SourceError, StoreError, UsageError
from reconciler.model.desired import Desired, Key, Kind, Window
from reconciler.verify import clock
from reconciler.verify.network import UNDISTURBED, Fate
from reconciler.verify.replica import Replica, Repository
from reconciler.verify.seeds import Stage

Stacks = Mapping[str, tuple[Desired, ...]]
JOB = Key.of(Kind.JOB, "main")


@dataclass
class World:
    """An account, a repository, and replicas that follow it."""

    stack: str
    stage: Stage = field(init=False)
    repository: Repository = field(default_factory=Repository)
    replicas: list[Replica] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stage = Stage(self.stack)

    def replica(self, name: str = "one", **conduct: Any) -> Replica:
        made = Replica(name, self.repository, self.stage.network, self.stage.disk, self.stage.story, Conduct(**conduct))
        self.replicas.append(made)
        made.start()
        return made

    async def close(self) -> None:
        for replica in self.replicas:
            replica.go_on()
            await replica.end()
        self.stage.account.close()

    @property
    def account(self) -> Any:
        self.stage.account.catch_up()
        return self.stage.account.simulation.world

    def writes(self, who: str = "") -> list[str]:
        """`METHOD path -> answer` of everything that was not a read."""
        lines = (line for line in self.stage.story.lines if not line.read and (not who or line.who == who))
        return [line.text for line in lines if line.text.split(" ")[0] in ("POST", "PATCH", "PUT", "DELETE")]

    async def until(self, met: Callable[[], Any], seconds: float = 600) -> None:
        """Wait for a state of the world, on the virtual clock."""
        for _ in range(int(seconds * 2)):
            if met():
                return
            await asyncio.sleep(0.5)
        shown = [
            (r.name, one.passes[-2:], one.problems, one.held)
            for r in self.replicas
            for one in r.bulletin.statuses.values()
        ]
        raise AssertionError(f"waited in vain; {shown}; the story:\n{self.stage.story}")

    def status(self, replica: Replica | None = None, stack: str = "") -> StackStatus:
        return (replica or self.replicas[0]).bulletin.statuses[stack or self.stack]

    async def ends(self, end: PassEnd, replica: Replica | None = None) -> None:
        """Wait until a pass ends so."""
        board = (replica or self.replicas[0]).bulletin
        await self.until(lambda: self.stack in board.statuses and self.status(replica).end is end)

    def codes(self, replica: Replica | None = None) -> list[str]:
        return [event.code for event in (replica or self.replicas[0]).bulletin.events]

    def kept(self) -> None:
        """No promise was broken."""
        assert not self.stage.witness.broken, f"{self.stage.witness.broken}\n{self.stage.story}"
        for replica in self.replicas:
            assert replica.error is None, replica.error


def simulated(stack: str = "simulated") -> Callable[..., Any]:
    """A test on the virtual clock, in a world that is taken down after it."""

    def wrap(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        def played(stacks: Stacks) -> None:
            async def run() -> None:
                world = World(stack)
                try:
                    await test(world, stacks)
                    world.kept()
                finally:
                    await world.close()

            clock.run(run())

        played.__name__, played.__doc__ = test.__name__, test.__doc__
        return played

    return wrap


def without(desired: Desired, *keys: Key) -> Desired:
    return replace(desired, objects={key: wanted for key, wanted in desired.objects.items() if key not in keys})


def renamed(desired: Desired, key: Key, name: str) -> Desired:
    """Another object in the place of one."""
    other = replace(desired.objects[key], key=Key.of(key.kind, name), name=name)
    return replace(desired, objects={**without(desired, key).objects, other.key: other})


def anew(world: World) -> bool:
    """Whether the job is the one of the second state."""
    job = world.account.jobs.get("main")
    return job is not None and job.spec["jobReleaseTask"]["commandLine"] == "release anew"


def hand(world: World, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
    assert world.stage.account.by_hand(method, path, body) < 300


@simulated()
async def test_what_is_committed_is_there_and_stays_in_sync(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    world.replica()
    await world.ends(PassEnd.SYNCED)
    assert set(world.account.jobs) == {"main"}
    assert len(world.account.tasks) == 2
    sent = len(world.writes())
    await asyncio.sleep(600)
    assert len(world.writes()) == sent
    assert "Created" in world.codes()
    assert world.status().revision.id == "r1"
    assert world.codes().count("Synced") == 1


@simulated()
async def test_drift_is_reverted(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    world.replica()
    await world.ends(PassEnd.SYNCED)
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)
    await world.ends(PassEnd.SYNCED)
    assert "DriftReverted" in world.codes()


@simulated()
async def test_a_job_that_leaves_the_source_is_terminated_released_once_and_deleted(
    world: World, stacks: Stacks
) -> None:
    before = stacks["small"][0]
    world.repository.commit(before)
    world.replica()
    await world.ends(PassEnd.SYNCED)
    await asyncio.sleep(30)
    world.repository.commit(without(before, JOB))
    await world.until(lambda: "main" not in world.account.jobs)
    await world.ends(PassEnd.SYNCED)
    runs = [boots for (job, _), boots in world.stage.witness.releases.items() if job[0] == "main"]
    assert runs and all(len(boots) == 1 for boots in runs)
    ended = [text for text in world.writes() if "/jobs/main" in text and ("terminate" in text or "DELETE" in text)]
    assert [text.split(" ")[0] for text in ended] == ["POST", "DELETE"]
    codes = world.codes()
    assert codes.index("Terminated") < codes.index("ReceiptWritten") < codes.index("Deleted")


@simulated()
async def test_a_long_release_does_not_block_other_objects(world: World, stacks: Stacks) -> None:
    before = stacks["small"][0]
    world.repository.commit(before)
    world.replica()
    await world.ends(PassEnd.SYNCED)
    await asyncio.sleep(30)
    world.stage.account.simulation.script(command="release", seconds=800)
    world.repository.commit(without(before, JOB))
    await world.until(lambda: world.account.jobs["main"].state == "terminating")
    world.repository.commit(renamed(before, JOB, "other"))
    await world.until(lambda: "other" in world.account.jobs)
    assert world.account.jobs["main"].state == "terminating"
    await world.until(lambda: "main" not in world.account.jobs, 1500)


@simulated()
async def test_a_plan_waits_until_its_digest_is_approved(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    one = world.replica(mode=Mode.APPROVE)
    await world.ends(PassEnd.AWAITING_APPROVAL)
    await asyncio.sleep(300)
    assert world.writes() == []
    with pytest.raises(UsageError, match="no plan with digest 0000 waits"):
        await one.controller.approve("simulated", "0000", "ann")
    with pytest.raises(UsageError, match="there is no stack 'other' here: simulated"):
        await one.controller.approve("other", "0000", "ann")
    await one.controller.approve("simulated", world.status().awaiting, "ann")
    await world.ends(PassEnd.SYNCED)
    assert len(world.account.tasks) == 2
    assert {"PlanAwaitsApproval", "PlanApproved", "ApprovalUsedUp"} <= set(world.codes())
    assert world.status().awaiting == ""


@simulated()
async def test_a_plan_is_approved_by_a_line_in_the_source_once(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    world.replica(mode=Mode.APPROVE)
    await world.ends(PassEnd.AWAITING_APPROVAL)
    digest = world.status().awaiting
    world.repository.commit(stacks["small"][0], approvals=(digest,))
    await world.ends(PassEnd.SYNCED)
    hand(world, "DELETE", "/jobs/main")
    hand(world, "DELETE", "/pools/cpu")
    await asyncio.sleep(120)
    await world.ends(PassEnd.AWAITING_APPROVAL)
    assert world.status().awaiting == digest
    assert world.account.pools.get("cpu") is None


@simulated()
async def test_an_approved_plan_goes_on_after_the_process_died(world: World, stacks: Stacks) -> None:
    before, after = stacks["small"]
    world.repository.commit(before)
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    await one.end()
    await asyncio.sleep(30)
    world.repository.commit(after)
    two = world.replica("two", mode=Mode.APPROVE)
    await world.ends(PassEnd.AWAITING_APPROVAL, two)
    world.stage.account.simulation.script(command="release", seconds=100)
    await two.controller.approve("simulated", world.status(two).awaiting, "ann")
    await world.until(lambda: world.account.jobs["main"].state == "terminating")
    two.kill()
    three = world.replica("three", mode=Mode.APPROVE)
    await world.ends(PassEnd.SYNCED, three)
    assert world.account.jobs["main"].spec["jobReleaseTask"]["commandLine"] == "release anew"
    assert "PlanAwaitsApproval" not in world.codes(three)


@simulated()
async def test_drift_is_reverted_by_itself_while_a_change_waits_for_approval(world: World, stacks: Stacks) -> None:
    before = stacks["small"][0]
    world.repository.commit(before)
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    await one.end()
    world.repository.commit(replace(before, objects={**before.objects, **renamed(before, JOB, "other").objects}))
    two = world.replica("two", mode=Mode.APPROVE, reverts=True)
    await world.ends(PassEnd.AWAITING_APPROVAL, two)
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)
    await world.ends(PassEnd.AWAITING_APPROVAL, two)
    assert "other" not in world.account.jobs


@simulated()
async def test_detect_only_tells_and_changes_nothing(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    world.replica(mode=Mode.DETECT_ONLY)
    await world.ends(PassEnd.OUT_OF_SYNC)
    await asyncio.sleep(300)
    assert world.writes() == []
    assert world.codes().count("OutOfSync") == 1
    assert set(world.status().held) == {"pool/cpu", "job/main"}


@simulated()
async def test_who_only_looks_locks_out_nobody_who_acts(world: World, stacks: Stacks) -> None:
    """One of those who look tells what it sees, and the lock of the stack is left to who changes it."""
    world.repository.commit(stacks["small"][0])
    looks = [world.replica(name, mode=Mode.DETECT_ONLY) for name in ("one", "two")]
    for one in looks:
        await world.ends(PassEnd.OUT_OF_SYNC, one)
    assert [world.status(one).leader for one in looks].count(True) == 1
    acts = world.replica("three")
    await world.ends(PassEnd.SYNCED, acts)
    assert world.writes("one") + world.writes("two") == []


@simulated()
async def test_a_part_without_a_stack_is_ready_as_soon_as_the_source_was_read(world: World, stacks: Stacks) -> None:
    one = world.replica()
    await asyncio.sleep(30)
    assert one.controller.ready
    world.repository.commit(stacks["small"][0])
    await world.ends(PassEnd.SYNCED)
    assert one.controller.ready


@simulated()
async def test_a_signal_ends_it_while_a_source_does_not_answer(world: World, stacks: Stacks) -> None:
    world.repository.seconds = 1000
    one = world.replica()
    await asyncio.sleep(10)
    await one.end()
    assert world.stage.account.seconds < 100
    assert world.codes()[-1] == "Stopped"


@simulated()
async def test_nothing_begins_outside_of_a_window_and_what_was_begun_in_it_is_brought_to_its_end(
    world: World, stacks: Stacks
) -> None:
    before, after = stacks["small"]
    windowed = replace(before.stack, windows=(Window("0 1 * * *", 600),))
    world.repository.commit(before)
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    await one.end()
    await asyncio.sleep(30)
    world.stage.account.simulation.script(command="release", seconds=850)
    world.repository.commit(replace(after, stack=windowed))
    two = world.replica("two")
    await world.ends(PassEnd.OUT_OF_SYNC, two)
    assert world.status(two).window == "no changes before 2026-01-01 01:00 UTC"
    await world.until(lambda: world.account.jobs["main"].state == "terminating", 4000)
    assert 3600 <= world.stage.account.seconds < 4200
    two.kill()
    three = world.replica("three")
    await asyncio.sleep(700)
    assert world.status(three).window == "no changes before 2026-01-02 01:00 UTC"
    # The release ended after the window did: the delete and the successor follow all the same, and the pool, which has
    # to be as declared before that.
    await world.until(lambda: len(world.account.tasks) == 2 and anew(world))
    assert 4200 < world.stage.account.seconds < 5000
    await world.ends(PassEnd.SYNCED, three)
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.ends(PassEnd.OUT_OF_SYNC, three)
    assert set(world.status(three).held) == {"job/main"}


@simulated()
async def test_a_suspended_object_is_left_alone_until_it_is_resumed(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    await one.controller.suspend("simulated", "job/main", "looking at it", "", "ann")
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.ends(PassEnd.OUT_OF_SYNC)
    await asyncio.sleep(300)
    assert world.account.jobs["main"].spec["priority"] == 7
    assert world.status().held == {"job/main": "suspended by ann: looking at it"}
    one.kill()
    two = world.replica("two")
    await world.ends(PassEnd.OUT_OF_SYNC, two)
    await two.controller.resume("simulated", "job/main", "ann")
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)


@simulated()
async def test_a_suspension_ends_by_itself(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    await one.controller.suspend("simulated", "job/main", "looking at it", "2026-01-01T00:20:00Z", "ann")
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0, 1400)
    assert 1200 <= world.stage.account.seconds < 1300
    assert "SuspensionEnded" in world.codes()


@simulated()
async def test_a_suspended_stack_leaves_its_lock_to_people(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    assert set(world.stage.disk.locks) == {"simulated"}
    await one.controller.suspend("simulated", "", "apply by hand", "", "ann")
    await world.until(lambda: not world.stage.disk.locks)
    await one.controller.resume("simulated", "", "ann")
    await world.until(lambda: world.stage.disk.locks)


@simulated()
async def test_a_broken_revision_leaves_the_last_good_one_in_force(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    world.replica()
    await world.ends(PassEnd.SYNCED)
    world.repository.number += 1
    world.repository.broken = ManifestErrors([Finding("jobs.yaml", 7, 3, "spec.priority", "expected a number")])
    await world.ends(PassEnd.INVALID)
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)
    status = world.status()
    assert (status.revision.id, status.offered.id) == ("r1", "r2")
    assert status.problems == ("jobs.yaml:7:3: spec.priority: expected a number",)
    world.repository.commit(stacks["small"][0])
    await world.ends(PassEnd.SYNCED)
    assert world.codes().count("InvalidManifests") == 1
    assert world.codes().count("Recovered") == 1


@simulated()
async def test_a_source_that_is_away_changes_nothing(world: World, stacks: Stacks) -> None:
    world.repository.away = SourceError("the repository does not answer")
    world.replica()
    await asyncio.sleep(200)
    world.repository.away = None
    world.repository.commit(stacks["small"][0])
    await world.ends(PassEnd.SYNCED)
    world.repository.away = SourceError("the repository does not answer")
    await world.ends(PassEnd.SOURCE_ERROR)
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)


@simulated()
async def test_manifests_that_are_deleted_altogether_prune_nothing(world: World, stacks: Stacks) -> None:
    before = stacks["small"][0]
    world.repository.commit(before)
    world.replica()
    await world.ends(PassEnd.SYNCED)
    sent = len(world.writes())
    world.repository.commit(replace(before, objects={}))
    await world.ends(PassEnd.GUARDED)
    world.repository.commit()
    await asyncio.sleep(300)
    assert world.status().end is PassEnd.GUARDED
    assert {"GuardStopped", "StackGone"} <= set(world.codes())
    assert len(world.writes()) == sent
    world.repository.commit(before)
    await world.ends(PassEnd.SYNCED)


@simulated()
async def test_one_stack_in_trouble_does_not_stop_another(world: World, stacks: Stacks) -> None:
    good = stacks["small"][0]
    bad = replace(renamed(good, JOB, "elsewhere"), stack=replace(good.stack, name="bad"))
    bad = replace(bad, objects={key: wanted for key, wanted in bad.objects.items() if key.kind is Kind.JOB})
    world.repository.commit(good, bad)
    world.stage.witness.stack = "simulated"
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    loop: Any = one.controller.loops["bad"]

    async def mistaken(*_: object) -> None:
        raise KeyError("a mistake of ours")

    loop._watched = mistaken
    await world.until(lambda: world.status(stack="bad").end is PassEnd.BROKEN)
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)
    world.stage.witness.broken.clear()  # it watches one stack


@simulated()
async def test_a_manifest_that_moves_to_another_stack_ends_nothing(world: World, stacks: Stacks) -> None:
    """Where both are in the source and on one account: the object is orphaned in one and adopted in the other."""
    before = stacks["small"][0]
    world.repository.commit(before)
    world.replica()
    await world.ends(PassEnd.SYNCED)
    there = replace(before, stack=replace(before.stack, name="there"), objects={JOB: before.objects[JOB]})
    world.repository.commit(without(before, JOB), there)
    await world.ends(PassEnd.OUT_OF_SYNC)
    assert "stack 'there' of this source" in world.status().held["job/main"]
    await asyncio.sleep(300)
    assert world.account.jobs["main"].state == "active"
    world.repository.commit(without(before, JOB), replace(there, objects={}))
    await world.until(lambda: "main" not in world.account.jobs)


@simulated()
async def test_what_waits_beside_a_manifest_that_moved_can_be_approved(world: World, stacks: Stacks) -> None:
    before = stacks["small"][0]
    world.repository.commit(before)
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    await one.end()
    there = replace(before, stack=replace(before.stack, name="there"), objects={JOB: before.objects[JOB]})
    moved = replace(before, objects={**before.objects, **renamed(before, JOB, "other").objects})
    world.repository.commit(without(moved, JOB), there)
    two = world.replica("two", mode=Mode.APPROVE)
    await world.ends(PassEnd.AWAITING_APPROVAL, two)
    await two.controller.approve("simulated", world.status(two).awaiting, "ann")
    await world.until(lambda: "other" in world.account.jobs)
    assert world.account.jobs["main"].state == "active"


@simulated()
async def test_an_account_that_is_away_is_told_once_and_looked_at_later_and_later(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    world.replica()
    await world.ends(PassEnd.SYNCED)
    world.stage.network.fates = lambda _sender, _request: Fate(lost="request")
    await world.ends(PassEnd.ACCOUNT_ERROR)
    before = world.status().passes[-1].number
    await asyncio.sleep(600)
    assert world.status().passes[-1].number - before < 15
    assert world.status().plan is not None
    world.stage.network.fates = lambda _sender, _request: UNDISTURBED
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)
    assert (world.codes().count("AccountUnavailable"), world.codes().count("Recovered")) == (1, 1)


@simulated()
async def test_without_its_store_a_controller_sends_nothing_and_goes_on_when_it_is_back(
    world: World, stacks: Stacks
) -> None:
    class Away:
        async def notes(self, folder: str) -> Mapping[str, Any]:
            raise StoreError("no space left on device")

    world.repository.commit(stacks["small"][0])
    one = world.replica()
    await world.ends(PassEnd.SYNCED)
    loop: Any = one.controller.loops["simulated"]
    kept = loop._kept
    loop._kept = replace(kept, notes=Away())
    await world.ends(PassEnd.STORE_ERROR)
    sent = len(world.writes())
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await asyncio.sleep(300)
    assert len(world.writes("one")) == sent
    assert world.status().problems == ("no space left on device",)
    loop._kept = kept
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0)


@simulated()
async def test_what_is_refused_is_told_and_tried_again_later_and_later(world: World, stacks: Stacks) -> None:
    before = stacks["small"][0]
    world.repository.commit(before)
    world.replica(interval=5.0)
    await world.ends(PassEnd.SYNCED)
    tried: list[float] = []

    def refusing(_sender: Any, request: Any) -> Fate:
        if request.method != "PATCH":
            return UNDISTURBED
        tried.append(world.stage.account.seconds)
        return Fate(status=400)

    world.stage.network.fates = refusing
    hand(world, "PATCH", "/jobs/main", {"priority": 7})
    await world.ends(PassEnd.FAILED)
    await asyncio.sleep(400)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(pauses)), pauses
    assert 3 <= len(pauses) <= 6
    assert "job/main" in world.status().not_before
    world.stage.network.fates = lambda _sender, _request: UNDISTURBED
    await world.until(lambda: world.account.jobs["main"].spec.get("priority", 0) == 0, 1000)
    await world.ends(PassEnd.SYNCED)


@simulated()
async def test_a_throttled_account_is_left_alone_for_as_long_as_it_asks(world: World, stacks: Stacks) -> None:
    world.repository.commit(stacks["small"][0])
    world.replica(interval=5.0)
    await world.ends(PassEnd.SYNCED)
    world.stage.network.fates = lambda _sender, _request: Fate(status=429)  # Retry-After: 1
    began = world.stage.account.seconds
    await asyncio.sleep(100)
    times = [line.at for line in world.stage.story.lines if line.at > began]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times) if later - earlier > 0.02]
    assert len(pauses) > 10
    assert min(pauses) > 0.99
    world.stage.network.fates = lambda _sender, _request: UNDISTURBED
    await world.ends(PassEnd.SYNCED)
