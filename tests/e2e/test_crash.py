"""SIGKILL of apply at every write, before and after its effect: run again, same account, one release per node."""

import random
import time
from typing import Any

import pytest

CREATING = ["POST /pools", "POST /jobs", "POST /jobs/j/addtaskcollection", "PATCH /jobs/j"]
REMOVING = ["POST /jobs/j/terminate", "DELETE /jobs/j"]


def kill_during(bench: Any, write: str) -> None:
    """Kill apply while *write* is on its way: the service carries it out after the client has died."""
    method, path = write.split()
    bench.emulator.faults([{"kind": "delay", "method": method, "path": f"^{path}$", "times": 1, "seconds": 0.5}])
    running = bench.start("apply", str(bench.folder), "--auto-approve")
    reads = bench.last_request
    wait_until(lambda: bench.last_request > reads + 2, "apply to look")
    time.sleep(0.25)
    running.kill()
    running.communicate(timeout=60)


def kill_after(bench: Any, write: str, *plan: str) -> None:
    """Kill apply as soon as *write* was answered."""
    seen = bench.last_request
    running = bench.start("apply", *(plan or (str(bench.folder), "--auto-approve")))
    wait_until(lambda: write in bench.writes(since=seen) or running.poll() is not None, write)
    running.kill()
    running.communicate(timeout=60)


def wait_until(met: Any, what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.005)


@pytest.mark.parametrize("kill", [kill_during, kill_after])
@pytest.mark.parametrize("write", CREATING)
def test_a_kill_while_creating_is_made_good_by_the_next_run(bench: Any, kill: Any, write: str) -> None:
    kill(bench, write)
    bench.emulator.faults([])
    assert bench.apply().code == 0
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")
    prepared = bench.shared("prepared.txt")
    assert set(map(tuple, prepared.values())) == {("j",)}
    assert "4 succeeded, 0 failed" in bench.run("status", "job/j").out
    assert bench.shared("released.txt") == {}


@pytest.mark.parametrize("kill", [kill_during, kill_after])
@pytest.mark.parametrize("write", REMOVING)
def test_a_kill_while_removing_still_makes_one_release_per_node(bench: Any, kill: Any, write: str) -> None:
    assert bench.apply().code == 0
    prepared = bench.shared("prepared.txt")
    bench.write(job=None)
    kill(bench, write)
    bench.emulator.faults([])
    assert bench.apply().code == 0
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")
    assert "job/j" not in bench.run("status").out


def test_a_saved_plan_that_is_killed_twice_is_applied_to_its_end(bench: Any) -> None:
    """A job is replaced: what the plan ends is released once, and what it creates runs once."""
    assert bench.apply().code == 0
    prepared = bench.shared("prepared.txt")
    bench.write(job=bench.folder.joinpath("job.yaml").read_text("utf-8").replace("sleep 0.2", "sleep 0.1"))
    plan = str(bench.folder.parent / "plan.json")
    assert bench.run("plan", str(bench.folder), "--replace", "job/j", "--out", plan).code == 0
    for write in ("POST /jobs/j/terminate", "POST /jobs"):
        kill_after(bench, write, plan)
    assert bench.run("apply", plan).code == 0
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
    again = bench.shared("prepared.txt")
    assert "4 succeeded, 0 failed" in bench.run("status", "job/j").out
    assert "Already applied" in bench.run("apply", plan).out
    assert (bench.shared("prepared.txt"), bench.shared("released.txt").keys()) == (again, prepared.keys())
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_kills_at_any_moment_leave_nothing_undone_and_nothing_done_twice(bench: Any, seed: int) -> None:
    """`pytest -m slow -n 2 tests/e2e/test_crash.py`: apply, the account, or both die, again and again."""
    moments = random.Random(seed)
    killed_until_done(bench, moments)
    assert "4 succeeded, 0 failed" in bench.run("status", "job/j").out
    prepared = bench.shared("prepared.txt")
    assert set(map(tuple, prepared.values())) == {("j",)}
    bench.write(job=None)
    killed_until_done(bench, moments)
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
    assert "job/j" not in bench.run("status").out


def killed_until_done(bench: Any, moments: random.Random) -> None:
    """Run apply again and again; at a random moment it is killed, or the account's server, or first one, then the
    other. At last both are left alone."""
    for _ in range(4):
        running = bench.start("apply", str(bench.folder), "--auto-approve")
        for victim in moments.choice(("apply", "account", "account apply", "apply account")).split():
            time.sleep(moments.uniform(0.2, 1.4))
            if victim == "account":
                bench.emulator.kill()
                bench.emulator.start()
            else:
                running.kill()
        running.kill()
        running.communicate(timeout=60)
    assert bench.apply().code == 0
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")
