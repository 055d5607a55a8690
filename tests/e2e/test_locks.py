"""Two applies of one stack, as cron starts them: one works, the other goes away; who lost the lock sends nothing."""

import signal
from typing import Any

import pytest

from tests.e2e.test_crash import wait_until

SLOW = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: j}
spec: {poolInfo: {poolId: p}}
tasks:
- id: t1
  commandLine: /bin/sh -c 'until [ -e "$AZ_BATCH_NODE_SHARED_DIR/go" ]; do sleep 0.1; done'
"""


def test_an_apply_that_overlaps_another_ends_at_once_and_a_killed_one_is_in_nobodys_way(bench: Any) -> None:
    bench.write(job=SLOW)
    first = bench.start("apply", str(bench.folder), "--auto-approve")
    wait_until(lambda: "PATCH /jobs/j" in bench.writes(), "the first to add the tasks")
    sent = bench.writes()
    ran = bench.apply("--detailed-exitcode")
    assert (ran.code, bench.writes()) == (5, sent)
    assert f"pid {first.pid} runs apply since " in ran.err
    assert f"pid {first.pid}" in bench.run("lock", "list", str(bench.folder)).out
    first.kill()
    first.communicate(timeout=60)
    assert "expired" in bench.run("lock", "list", str(bench.folder)).out
    bench.write(job=SLOW.replace("spec: {", "spec: {priority: 7, "))
    assert bench.apply("--no-wait", "--detailed-exitcode").code in (0, 3)
    assert "Nobody holds a lock" in bench.run("lock", "list", str(bench.folder)).out


@pytest.mark.slow
def test_an_apply_that_was_stopped_for_longer_than_its_lock_sends_nothing_when_it_wakes(bench: Any) -> None:
    """Takes a little more than the minute that a lock lasts."""
    bench.write(job=SLOW)
    first = bench.start("apply", str(bench.folder), "--auto-approve")
    wait_until(lambda: "POST /pools" in bench.writes(), "the first to begin")
    first.send_signal(signal.SIGSTOP)
    seen = bench.last_request
    wait_until(lambda: bench.apply("--no-wait", "--detailed-exitcode").code in (0, 3), "the second to get the lock")
    done = bench.writes()
    first.send_signal(signal.SIGCONT)
    wait_until(lambda: bench.last_request > seen and first.poll() is not None, "the first to notice")
    out, _ = first.communicate(timeout=60)
    assert bench.writes() == done
    assert first.returncode == 1
    assert "In progress: the lock s " in out
