"""One object that fails: the others go on, and what depends on it is told."""

from tests.commands.conftest import JOB, POOL, Desk


def test_what_depends_on_a_failure_is_skipped_and_the_rest_is_done(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB)
    desk.apply()
    other = POOL.replace("name: p}", "name: other}")
    desk.write(other=other, second=JOB.replace("name: j}", "name: second}").replace("poolId: p", "poolId: other"))
    desk.write(third=JOB.replace("name: j}", "name: third}"))
    desk.simulation.faults([{"kind": "quota", "pools": 1}])
    ran = desk.run("apply", str(desk.folder), "--auto-approve", "--no-wait", "--detailed-exitcode")
    assert ran.code == 6
    assert "! pool/other: " in ran.out and "PoolQuotaReached" in ran.out
    assert "! job/second: skipped: pool/other has to come first" in ran.out
    assert "Failed: 1 of 5 objects. 1 created, 1 task added." in ran.out
    status = desk.run("status").out
    assert "job/third" in status
    assert "job/second" not in status
