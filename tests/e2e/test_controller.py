"""The controller as a user runs it: processes with signals, on an emulator that runs commands."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

DEADLINE = 90.0


def wait_until(met: Callable[[], Any], what: str, *processes: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + DEADLINE
    while not met():
        for process in processes:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.05)


@pytest.fixture
def follow(bench: Any) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a controller; whatever is left of them is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> "subprocess.Popen[str]":
        started.append(bench.start("run", str(bench.folder), "--interval", "1s", *flags))
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            process.communicate(timeout=60)


def codes(path: Any) -> list[str]:
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line)["code"] for line in lines if line.endswith("}")]


def wrote(bench: Any, write: str) -> bool:
    return write in bench.writes()


def test_the_other_finishes_what_a_killed_leader_began_and_ends_on_a_signal(bench: Any, follow: Any) -> None:
    events = [bench.folder.parent / f"events-{name}.jsonl" for name in ("one", "two")]
    one = follow("--events", str(events[0]))
    wait_until(lambda: "Synced" in codes(events[0]), "the first to be in sync", one)
    two = follow("--events", str(events[1]))
    wait_until(lambda: "Following" in codes(events[1]), "the second to watch", two)
    wait_until(lambda: "4 succeeded" in bench.run("status", "job/j").out, "the tasks to end", one, two)
    prepared = bench.shared("prepared.txt")
    assert set(map(tuple, prepared.values())) == {("j",)}
    bench.emulator.faults(
        [{"kind": "delay", "method": "POST", "path": "^/jobs/j/terminate$", "times": 1, "seconds": 0.3}]
    )
    bench.write(job=None)
    wait_until(lambda: wrote(bench, "POST /jobs/j/terminate"), "the terminate", one, two)
    one.kill()
    one.communicate(timeout=60)
    wait_until(lambda: wrote(bench, "DELETE /jobs/j"), "the delete by the second", two)
    wait_until(lambda: "job/j" not in bench.run("status").out, "the job to be gone", two)
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
    assert bench.writes().count("POST /jobs/j/terminate") == 1
    two.send_signal(signal.SIGTERM)
    _, said = two.communicate(timeout=60)
    assert two.returncode == 0, said
    assert codes(events[1])[-2:] == ["Following", "Stopped"]
    assert "simulated" not in bench.run("lock", "list", str(bench.folder)).out
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def test_a_reload_reads_manifests_and_variables_anew(bench: Any, follow: Any) -> None:
    """The interval is an hour: only the signal brings the next pass."""
    events, values = bench.folder.parent / "events.jsonl", bench.folder.parent / "values.yml"
    stack = (bench.folder / "stack.yaml").read_text("utf-8")
    variable = "variables: {urgency: {type: integer, required: true}}"
    bench.write(stack=stack + (f"  {variable}\n" if "spec:" in stack else f"spec: {{{variable}}}\n"))
    job = (bench.folder / "job.yaml").read_text("utf-8")
    bench.write(job=job.replace("spec:\n", "spec:\n  priority: ${var.urgency}\n", 1))
    values.write_text("urgency: 1\n", "utf-8")
    one = follow("--interval", "1h", "--var-file", str(values), "--events", str(events))
    wait_until(lambda: "Synced" in codes(events), "the first sync", one)
    values.write_text("urgency: 7\n", "utf-8")
    one.send_signal(signal.SIGHUP)

    def priority() -> int:
        (live,) = json.loads(bench.run("snapshot").out)["answers"]["/jobs"]
        return int(live.get("priority", 0))

    wait_until(lambda: priority() == 7, "the priority of after the signal", one)
    assert "Reloaded" in codes(events)
    one.send_signal(signal.SIGTERM)
    _, said = one.communicate(timeout=60)
    assert one.returncode == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_controllers_killed_at_any_moment_release_each_node_once(bench: Any, follow: Any, seed: int) -> None:
    """`pytest -m slow -n 2 tests/e2e/test_controller.py`: two replicas, of which the leader or any is killed again and
    again while the job is made, and while it is removed."""
    moments = random.Random(seed)
    replicas = [follow(), follow()]

    def torment(rounds: int) -> None:
        for _ in range(rounds):
            time.sleep(moments.uniform(0.1, 2.5))
            victim = moments.randrange(2)
            replicas[victim].kill()
            replicas[victim].communicate(timeout=60)
            replicas[victim] = follow()

    torment(3)
    wait_until(lambda: "4 succeeded, 0 failed" in bench.run("status", "job/j").out, "the tasks to end", *replicas)
    prepared = bench.shared("prepared.txt")
    assert set(map(tuple, prepared.values())) == {("j",)}
    bench.write(job=None)
    torment(4)
    wait_until(lambda: "job/j" not in bench.run("status").out, "the job to be gone", *replicas)
    assert bench.shared("released.txt") == {node: ["j"] for node in prepared}
