"""Requests that take no condition, or whose condition does not tell enough: what is looked at again just before."""

from typing import Any

import pytest
from azure.core.pipeline.transport import AioHttpTransport

from reconciler.azure import connect
from reconciler.emulator import Simulation
from reconciler.errors import LockLost, Moved
from reconciler.lifecycle.steps import Action, Verb
from reconciler.model.desired import Key, Kind, Task
from reconciler.observed import Guard, LiveNode, Mark

POOL = {
    "id": "p",
    "vmSize": "Standard_D2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
    "targetDedicatedNodes": 1,
}
RECURS = {"schedule": {"recurrenceInterval": "PT1H"}, "jobSpecification": {"poolInfo": {"poolId": "p"}}}


@pytest.fixture
def batch() -> Any:
    with Simulation() as made:
        yield made


async def send(batch: Simulation, kind: str, action: Action) -> None:
    async with connect(batch.endpoint, batch.account, batch.key, use_proxies=False) as account:
        observed = await account.observe()
        (live,) = [thing for key, thing in {**observed.pools, **observed.schedules}.items() if key.kind == kind]
        await account.send(live.key, live.name, action)


def guard(batch: Simulation, path: str) -> Guard:
    there = batch.request("GET", path).body
    return Guard(there["eTag"], there["creationTime"])


@pytest.mark.parametrize("verb", [Verb.REMOVE_NODES, Verb.REBOOT_NODES])
async def test_a_node_that_takes_tasks_again_is_neither_removed_nor_restarted(batch: Simulation, verb: Verb) -> None:
    batch.request("POST", "/pools", POOL)
    batch.advance(600)
    (node,) = batch.request("GET", "/pools/p/nodes").body["value"]
    body = {"nodeList": [node["id"]]} if verb is Verb.REMOVE_NODES else {"nodeRebootOption": "taskcompletion"}
    with pytest.raises(Moved, match="takes tasks again"):
        await send(batch, "pool", Action(verb, "", guard(batch, "/pools/p"), body, nodes=(node["id"],)))
    (after,) = batch.request("GET", "/pools/p/nodes").body["value"]
    assert (after["state"], after["lastBootTime"]) == ("idle", node["lastBootTime"])


async def test_a_schedule_is_not_deleted_over_a_job_that_its_snapshot_missed(batch: Simulation) -> None:
    batch.request("POST", "/jobschedules", {"id": "c", **RECURS})
    batch.advance(1)
    batch.request("POST", "/jobschedules/c/disable")
    with pytest.raises(Moved, match="it still has c:job-1"):
        await send(batch, "jobschedule", Action(Verb.DELETE, "", guard(batch, "/jobschedules/c")))
    assert batch.request("GET", "/jobs/c:job-1").body["state"] == "active"


async def test_a_node_that_was_taken_off_meanwhile_stays_in_the_mark(batch: Simulation) -> None:
    batch.request("POST", "/pools", POOL)
    batch.advance(600)
    (node,) = batch.request("GET", "/pools/p/nodes").body["value"]
    chosen = Mark("s", aside=frozenset({LiveNode(node["id"], "idle").print}))
    batch.request("PATCH", "/pools/p", {"metadata": [{"name": "reconciler", "value": str(chosen)}]})
    batch.request("POST", f"/pools/p/nodes/{node['id']}/disablescheduling", {})
    with pytest.raises(Moved, match="was taken off scheduling meanwhile"):
        await send(batch, "pool", Action(Verb.CHOOSE_NODES, "", guard(batch, "/pools/p"), mark=Mark("s")))
    assert batch.request("GET", "/pools/p").body["metadata"][0]["value"] == str(chosen)


async def test_a_job_that_somebody_else_made_first_is_not_taken_for_our_own_create(batch: Simulation) -> None:
    """Not even another run of ours: its nonce is another one."""
    action = Action(Verb.CREATE, "", body={"id": "j", "poolInfo": {"poolId": "p"}}, mark=Mark("s"))
    batch.request("POST", "/pools", POOL)
    async with connect(batch.endpoint, batch.account, batch.key, use_proxies=False) as account:
        await account.send(Key.of(Kind.JOB, "j"), "j", action)
        with pytest.raises(Moved) as refused:
            await account.send(Key.of(Kind.JOB, "j"), "j", action)
    assert refused.value.code == "JobExists"


async def test_nothing_that_changes_the_account_is_sent_once_the_lock_is_lost(batch: Simulation) -> None:
    """Each request asks, also those of one action: a collection of tasks has many."""
    batch.request("POST", "/pools", POOL)
    allowed = 1

    def permit() -> None:
        nonlocal allowed
        allowed -= 1
        if allowed < 0:
            raise LockLost("the lock s was broken")

    tasks = tuple(Task(f"t{number}", {}, {"id": f"t{number}", "commandLine": "true"}) for number in range(150))
    async with connect(batch.endpoint, batch.account, batch.key, use_proxies=False, permit=permit) as account:
        body = {"id": "j", "poolInfo": {"poolId": "p"}}
        await account.send(Key.of(Kind.JOB, "j"), "j", Action(Verb.CREATE, "", body=body, mark=Mark("s")))
        live = (await account.observe()).jobs[Key.of(Kind.JOB, "j")]
        with pytest.raises(LockLost):
            await account.send(live.key, "j", Action(Verb.ADD_TASKS, "", live.guard, tasks=tasks))
        assert (await account.task_counts(live)).active == 0


async def test_every_request_of_an_action_carries_its_id(batch: Simulation) -> None:
    seen: list[tuple[str, str | None]] = []

    class Watching(AioHttpTransport):
        async def send(self, request: Any, **config: Any) -> Any:
            seen.append((request.method, request.headers.get("client-request-id")))
            return await super().send(request, **config)

    transport = Watching(use_env_settings=False)
    async with connect(batch.endpoint, batch.account, batch.key, use_proxies=False, transport=transport) as account:
        action = Action(Verb.CREATE, "", body=POOL, mark=Mark("s"), call="0f0a0b0c-0000-4000-8000-000000000001")
        await account.send(Key.of(Kind.POOL, "p"), "p", action)
        await account.observe()
    assert seen[0] == ("POST", action.call)
    assert action.call not in {call for _, call in seen[1:]}
