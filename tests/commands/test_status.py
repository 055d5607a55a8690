"""What `status` shows of one object."""

from typing import Any

from tests.commands.conftest import JOB, POOL

RELEASING = JOB.replace(
    "{poolInfo: {poolId: p}}",
    "{poolInfo: {poolId: p}, jobPreparationTask: {commandLine: 'true'}, jobReleaseTask: {commandLine: 'true'}}",
)


def test_a_pool_says_which_of_its_nodes_owe_a_release_and_to_whom(desk: Any) -> None:
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 2"), job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    head, *nodes = [line.split() for line in desk.run("status", "pool/p").out.splitlines()[4:]]
    assert head == ["NODE", "STATE", "OWES", "RELEASE", "TO"]
    assert sorted(node[1:] for node in nodes) == [["idle"], ["idle", "job/j"]]
    desk.write(job=RELEASING + "lifecycle: {state: Completed}\n")
    desk.apply()
    desk.simulation.run_until_idle()
    head, *nodes = [line.split() for line in desk.run("status", "pool/p").out.splitlines()[4:]]
    assert (head, [node[1:] for node in nodes]) == (["NODE", "STATE"], [["idle"], ["idle"]])
