"""Locks: one holder at a time; what becomes of one whose process is killed, stopped, or cut off from the store."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from store.conftest import ENDPOINT, Ground

from reconciler.errors import Locked, LockLost, StoreError
from reconciler.ports import Holding
from reconciler.store import Store, held, location_of, open_store, until
from reconciler.store.blob import BlobLock
from reconciler.store.folder import FolderLock
from reconciler.store.lock import Held

LONG = 60.0


async def test_a_lock_has_one_holder_and_says_who(store: Store) -> None:
    ours = await store.lock.acquire("s", "anna@host pid 1", "apply", LONG)
    assert (ours.name, ours.owner, ours.purpose, ours.seconds) == ("s", "anna@host pid 1", "apply", LONG)
    with pytest.raises(
        Locked, match=r"'s' is locked: anna@host pid 1 runs apply since .*reconciler lock break s"
    ) as found:
        await store.lock.acquire("s", "bert@host pid 2", "destroy", LONG)
    error = found.value
    assert (error.name, error.owner, error.purpose) == ("s", "anna@host pid 1", "apply")
    assert error.acquired < error.until
    other = await store.lock.acquire("t", "bert@host pid 2", "destroy", LONG)
    shown = await store.lock.holdings()
    assert [(one.name, one.owner, one.token, one.expired) for one in shown] == [
        ("s", "anna@host pid 1", "", False),
        ("t", "bert@host pid 2", "", False),
    ]
    await store.lock.release(other)
    await store.lock.release(other)
    assert await store.lock.holding("t") is None
    await store.lock.release(ours)
    assert await store.lock.holdings() == ()
    assert (await store.lock.acquire("s", "bert@host pid 2", "destroy", LONG)).owner == "bert@host pid 2"


async def test_a_renewed_lock_is_held_for_longer(store: Store) -> None:
    ours = await store.lock.acquire("s", "o", "apply", LONG)
    renewed = await store.lock.renew(ours)
    assert (renewed.acquired, renewed.token) == (ours.acquired, ours.token)
    assert renewed.renewed >= ours.renewed
    shown = await store.lock.holding("s")
    assert shown is not None
    assert until(shown) > shown.acquired


async def test_a_broken_lock_is_lost_to_its_holder(store: Store) -> None:
    ours = await store.lock.acquire("s", "anna@host pid 1", "apply", LONG)
    broken = await store.lock.break_("s")
    assert broken is not None
    assert broken.owner == "anna@host pid 1"
    assert await store.lock.break_("s") is None
    assert await store.lock.break_("never") is None
    with pytest.raises(LockLost, match="the lock s was broken"):
        await store.lock.renew(ours)
    await store.lock.release(ours)
    theirs = await store.lock.acquire("s", "bert@host pid 2", "apply", LONG)
    with pytest.raises(LockLost, match="the lock s is held by bert@host pid 2 since"):
        await store.lock.renew(ours)
    await store.lock.release(ours)
    assert (await store.lock.renew(theirs)).owner == "bert@host pid 2"


async def test_of_many_that_ask_at_once_one_gets_it(ground: Ground) -> None:
    async with ground.open() as one, ground.open() as other:
        answers = await asyncio.gather(
            *(store.lock.acquire("s", f"o{number}", "apply", LONG) for number in range(5) for store in (one, other)),
            return_exceptions=True,
        )
    assert sum(isinstance(answer, Holding) for answer in answers) == 1
    assert sum(isinstance(answer, Locked) for answer in answers) == 9


async def test_locks_are_no_stacks(store: Store) -> None:
    await store.lock.acquire("s", "o", "apply", LONG)
    assert await store.stacks() == ()


async def test_a_name_stays_in_the_folder_of_the_locks(store: Store) -> None:
    held = await store.lock.acquire("../../x y/..", "jürgen@höst", "apply", LONG)
    (shown,) = await store.lock.holdings()
    assert (shown.name, shown.owner) == ("../../x y/..", "jürgen@höst")
    assert [item.name for item in await store.shelf.items(".locks") if "guard" not in item.name] == [
        ".locks/..%2F..%2Fx y%2F.." + (".json" if store.location.is_local else "")
    ]
    await store.lock.release(held)


# On one machine


@pytest.fixture
async def folder(tmp_path: Path) -> Store:
    async with open_store(location_of(str(tmp_path), {}), ENDPOINT, {}) as opened:
        return opened


def file_of(store: Store) -> Path:
    assert store.location.folder is not None
    (path,) = store.location.folder.glob("*/.locks/*.json")
    return path


def rewritten(store: Store, **facts: object) -> None:
    path = file_of(store)
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **facts}), "utf-8")


async def test_setting_the_clock_neither_ends_a_lock_nor_keeps_one(folder: Store) -> None:
    await folder.lock.acquire("s", "o", "apply", LONG)
    rewritten(folder, renewed="2001-01-01T00:00:00+00:00")
    with pytest.raises(Locked):
        await folder.lock.acquire("s", "p", "apply", LONG)
    rewritten(folder, renewed="2999-01-01T00:00:00+00:00", clock=0)
    assert (await folder.lock.acquire("s", "p", "apply", LONG)).owner == "p"


@pytest.mark.parametrize(
    ("renewed", "free"), [("2001-01-01T00:00:00+00:00", True), ("2999-01-01T00:00:00+00:00", False)]
)
async def test_after_a_restart_of_the_machine_the_time_of_day_decides(folder: Store, renewed: str, free: bool) -> None:
    await folder.lock.acquire("s", "o", "apply", LONG)
    rewritten(folder, renewed=renewed, boot="another", clock=1e12)
    shown = await folder.lock.holding("s")
    assert shown is not None
    assert shown.expired is free


async def test_a_lock_of_a_process_that_is_gone_is_free_at_once(folder: Store) -> None:
    await folder.lock.acquire("s", "o", "apply", LONG)
    rewritten(folder, started="1")  # the number of the process is somebody else's by now
    shown = await folder.lock.holding("s")
    assert shown is not None
    assert shown.expired
    rewritten(folder, namespace="of another container")  # where that number means another process
    with pytest.raises(Locked):
        await folder.lock.acquire("s", "p", "apply", LONG)


async def test_a_lock_that_cannot_be_understood_is_held_until_it_is_broken(folder: Store) -> None:
    await folder.lock.acquire("s", "o", "apply", LONG)
    file_of(folder).write_text("{", "utf-8")
    with pytest.raises(Locked, match=r"somebody whose file .* cannot be understood"):
        await folder.lock.acquire("s", "p", "apply", LONG)
    assert await folder.lock.break_("s") is not None
    await folder.lock.acquire("s", "p", "apply", LONG)
    file_of(folder).write_text("", "utf-8")  # as a machine leaves it that loses power
    await folder.lock.acquire("s", "q", "apply", LONG)


# Holding one while something runs


class Script:
    """A Lock whose renewals go as told, and a Clock that stands still between steps."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.time = 0.0
        self.released = False
        self.problem: Exception | None = None

    async def acquire(self, name: str, owner: str, purpose: str, seconds: float) -> Holding:
        return Holding(name, owner, purpose, "2030-01-01T00:00:00+00:00", "2030-01-01T00:00:00+00:00", seconds, "t")

    async def renew(self, holding: Holding) -> Holding:
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return replace(holding, renewed="2030-01-01T00:00:30+00:00")

    async def release(self, holding: Holding) -> None:
        self.released = True
        if self.problem is not None:
            raise self.problem

    def now(self) -> float:
        return self.time

    def utc(self) -> str:
        return "2030-01-01T00:00:00Z"

    async def sleep(self, seconds: float) -> None:
        if not self.answers:
            await asyncio.Event().wait()
        self.time += seconds
        await asyncio.sleep(0)


async def holding(script: Script, until: Callable[[Held, list[str]], bool]) -> tuple[Held, list[str], list[str]]:
    """Hold it until something is so; what was told of its loss, and of its end."""
    lost: list[str] = []
    left: list[str] = []
    async with held(script, "s", "o", "apply", LONG, script, lost.append, left.append) as ours:  # type: ignore[arg-type]
        for _ in range(200):
            if until(ours, lost):
                break
            await asyncio.sleep(0)
        else:
            raise AssertionError("it never came to that")
    return ours, lost, left


async def test_it_is_renewed_as_long_as_the_work_lasts() -> None:
    script = Script(None, None, None, None, None, None, None, None)
    ours, lost, left = await holding(script, lambda _, __: script.time >= 2 * LONG)
    assert (lost, left, script.released) == ([], [], True)
    assert ours.holding.renewed == "2030-01-01T00:00:30+00:00"
    ours.check()


async def test_a_renewal_that_fails_once_loses_nothing() -> None:
    script = Script(StoreError("away"), StoreError("away"), None, None, None)
    ours, lost, _ = await holding(script, lambda _, __: not script.answers)
    assert lost == []
    ours.check()


async def test_who_cannot_renew_stops_before_the_lock_runs_out() -> None:
    script = Script(*[StoreError("away")] * 50)
    ours, lost, _ = await holding(script, lambda _, lost: bool(lost))
    assert lost == ["the lock s could not be renewed in 60 s: away"]
    assert script.time < LONG
    with pytest.raises(LockLost, match="away"):
        ours.check()


async def test_a_lock_that_was_taken_is_lost_at_once_and_told_once() -> None:
    script = Script(LockLost("the lock s was broken"), None, None)
    ours, lost, _ = await holding(script, lambda _, lost: bool(lost))
    assert lost == ["the lock s was broken"]
    with pytest.raises(LockLost):
        ours.check()
    assert len(lost) == 1


async def test_a_process_that_did_not_run_for_too_long_may_not_send() -> None:
    script = Script()
    lost: list[str] = []
    async with held(script, "s", "o", "apply", LONG, script, lost.append, lost.append) as ours:  # type: ignore[arg-type]
        ours.check()
        script.time = LONG - 1  # as time goes on while a process is stopped
        with pytest.raises(LockLost, match="this process did not run for so long"):
            ours.check()
    assert len(lost) == 1


async def test_a_lock_that_cannot_be_given_back_is_told_and_the_work_counts() -> None:
    script = Script()
    script.problem = StoreError("away")
    _, lost, left = await holding(script, lambda _, __: True)
    assert (lost, left) == (
        [],
        ["the lock s could not be given back and ends at 2030-01-01T00:01:00+00:00: away"],
    )


# Processes

HOLDER = """
import asyncio, json, sys
from reconciler.errors import Locked, LockLost
from reconciler.store import MachineClock, held, location_of, open_store, this_owner

given, environment, endpoint, seconds = json.loads(sys.argv[1])

def say(text):
    print(text, flush=True)

async def work():
    async with open_store(location_of(given, environment), endpoint, environment) as store:
        clock = MachineClock()
        lost = lambda why: say("lost " + why)
        async with held(store.lock, "s", this_owner(), "apply", seconds, clock, lost, say) as ours:
            say("held")
            while True:
                line = await asyncio.to_thread(sys.stdin.readline)
                if not line:
                    return
                try:
                    ours.check()
                    say("sent")
                except LockLost:
                    say("not sent")

try:
    asyncio.run(work())
except Locked as error:
    say(f"locked by {error.owner}")
"""


class Process:
    """A process that holds the lock, or was refused it."""

    def __init__(self, ground: Ground) -> None:
        given = json.dumps([ground.given, ground.environment, ENDPOINT, ground.lease])
        self.child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def says(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def asks(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.child.pid, number)


@pytest.fixture
def process(ground: Ground) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(ground))
        return started[-1]

    yield start
    for one in started:
        with ended(one.child):
            one.child.kill()


@contextmanager
def ended(child: "subprocess.Popen[str]") -> Iterator[None]:
    with child:
        yield


def test_of_two_processes_that_race_one_gets_the_lock(process: Callable[[], Process]) -> None:
    said = sorted(one.says for one in [process(), process()])
    assert said[0] == "held"
    assert said[1].startswith("locked by")  # whom, is known a moment later: a lease is signed once it is taken


@pytest.mark.parametrize(
    "ground",
    ["folder", pytest.param("blob", marks=pytest.mark.slow)],  # the service waits for the end of its lease
    indirect=True,
)
async def test_the_lock_of_a_killed_process_ends_by_itself(ground: Ground, process: Callable[[], Process]) -> None:
    first = process()
    assert first.says == "held"
    first.signal(signal.SIGKILL)
    async with ground.open() as store:
        await taken(store, ground.lease)


async def test_a_process_that_was_stopped_for_longer_than_its_lock_sends_nothing(
    ground: Ground, process: Callable[[], Process]
) -> None:
    first = process()
    assert first.says == "held"
    first.asks()
    assert first.says == "sent"
    first.signal(signal.SIGSTOP)
    async with ground.open() as store:
        theirs = await taken(store, ground.lease)
        first.signal(signal.SIGCONT)
        first.asks()
        said = {first.says, first.says}
        assert "not sent" in said
        assert any(text.startswith("lost ") for text in said)
        assert (await store.lock.renew(theirs)).owner == "second"


async def taken(store: Store, seconds: float) -> Holding:
    """The lock, as soon as it can be had."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await store.lock.acquire("s", "second", "apply", max(seconds, 15))
        except Locked:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


async def test_a_lock_that_nobody_can_be_seen_to_hold_and_that_is_not_given_is_said_to_be_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: object) -> str:
        return ""

    async def gone(*_: object) -> None:
        return None

    monkeypatch.setattr(BlobLock, "_lease", refused)
    monkeypatch.setattr(BlobLock, "_look", gone)
    monkeypatch.setattr(BlobLock, "_translated", lambda *_: nullcontext())
    with pytest.raises(Locked, match="'s' is locked, by whom could not be found out; try again"):
        await BlobLock(None, "locks").acquire("s", "me", "apply", 30)  # type: ignore[arg-type]


async def test_a_lock_that_cannot_be_read_is_not_taken_for_free(tmp_path: Path) -> None:
    (tmp_path / "s.json").mkdir()
    with pytest.raises(StoreError, match="read the lock "):
        await FolderLock(tmp_path).holding("s")
