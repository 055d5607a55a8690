"""Somebody else with access to the account: what people do in the portal, and what befalls nodes."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from reconciler.emulator.control import EmulatorError
from reconciler.verify.account import PORTAL, Account
from reconciler.verify.story import Story

RETURN: Final = 20.0
"""Seconds after which a lost node is back."""
LOOK: Final = 0.1
PATIENCE: Final = 50
"""Seconds between looks of who waits for an id to be free, and how often they look."""
FOREIGN: Final = "somebody-else"
"""Id of the pool and the job that are there from the beginning and are nobody's of ours."""
POOL: Final[Mapping[str, Any]] = {
    "vmSize": "Standard_D2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
    },
}
GUEST: Final[Mapping[str, Any]] = {
    "jobPreparationTask": {"commandLine": "/bin/true"},
    "jobReleaseTask": {"commandLine": "/bin/true"},
}
Deed = Callable[[], str]


class Outsider:
    """One person, with a liking for objects of *jobs* and *pools*, the ids of a stack."""

    def __init__(self, account: Account, story: Story, chance: random.Random) -> None:
        self._account, self._story, self._chance = account, story, chance
        self.jobs: list[str] = []
        self.pools: list[str] = []

    def lend(self, pools: Sequence[str]) -> None:
        """Make pools that others use, and nobody of them declares."""
        for pool in pools:
            self._account.by_hand("POST", "/pools", {"id": pool, **POOL, "targetDedicatedNodes": 2})

    def settle_in(self) -> None:
        """Make what is foreign to every stack."""
        self._account.by_hand("POST", "/pools", {"id": FOREIGN, **POOL, "targetDedicatedNodes": 0})
        self._account.by_hand("POST", "/jobs", {"id": FOREIGN, "poolInfo": {"poolId": FOREIGN}, **GUEST})

    def belongings(self) -> tuple[object, ...]:
        """What a change of the foreign objects would change."""
        world = self._account.simulation.world
        pool, job = world.pools.get(FOREIGN), world.jobs.get(FOREIGN)
        return tuple(one and (one.created, one.modified, one.state) for one in (pool, job))

    def act(self) -> None:
        """Do one thing now."""
        deeds: list[Deed] = [self._terminate, self._delete, self._disable, self._patch, self._reboot, self._lose]
        deeds += [self._take_over] if self.jobs else []
        deeds += [self._move_in, self._resize] if self.pools else []
        self._account.catch_up()
        self._tell(self._chance.choice(deeds)())

    def _hand(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> str:
        return f"{method} {path} -> {self._account.by_hand(method, path, body)}"

    def _terminate(self) -> str:
        return self._to_a_job("POST", "/terminate")

    def _delete(self) -> str:
        return self._to_a_job("DELETE")

    def _disable(self) -> str:
        return self._to_a_job("POST", "/disable", {"disableTasks": "requeue"})

    def _patch(self) -> str:
        return self._to_a_job("PATCH", body={"priority": self._chance.randrange(-5, 5)})

    def _to_a_job(self, method: str, verb: str = "", body: Mapping[str, Any] | None = None) -> str:
        world = self._account.simulation.world
        jobs = sorted(job.id for job in world.jobs.values() if job.key != FOREIGN)
        return self._hand(method, f"/jobs/{self._chance.choice(jobs)}{verb}", body) if jobs else "finds no job"

    async def usurp(self, job: str) -> None:
        """Delete a job, and make another under its id as soon as it is free."""
        self._tell(self._hand("DELETE", f"/jobs/{job}"))
        for _ in range(PATIENCE):
            await asyncio.sleep(LOOK)
            self._account.catch_up()
            if job.lower() not in self._account.simulation.world.jobs:
                self._tell(self._hand("POST", "/jobs", {"id": job, "poolInfo": {"poolId": FOREIGN}}))
                return

    async def visit(self, after: float) -> None:
        """Have another team's job on one of our pools, later."""
        await asyncio.sleep(after)
        self._account.catch_up()
        if self.pools:
            self._tell(self._move_in())

    async def evict(self, after: float) -> None:
        """End the job of another team, a little later."""
        await asyncio.sleep(after)
        self._account.catch_up()
        self._tell(self._hand("POST", "/jobs/guest/terminate", {"terminateReason": "done"}))

    def _tell(self, said: str) -> None:
        self._story.tell(self._account.seconds, PORTAL, said)

    def _take_over(self) -> str:
        """Another job under the id of ours, where it is free."""
        return self._hand("POST", "/jobs", {"id": self._chance.choice(self.jobs), "poolInfo": {"poolId": FOREIGN}})

    def _move_in(self) -> str:
        """A job of another team on one of our pools, that owes a release there before long."""
        home = {"poolId": self._chance.choice(self.pools)}
        said = self._hand("POST", "/jobs", {"id": "guest", "poolInfo": home, **GUEST})
        return f"{said}, {self._hand('POST', '/jobs/guest/tasks', {'id': 't', 'commandLine': '/bin/true'})}"

    def _reboot(self) -> str:
        node = self._node()
        return "finds no node" if node is None else self._hand("POST", f"/pools/{node[0]}/nodes/{node[1]}/reboot")

    def _lose(self) -> str:
        node = self._node()
        if node is None:
            return "finds no node"
        try:
            self._account.simulation.lose_node(*node, seconds=RETURN)
        except EmulatorError as error:
            return str(error)
        return f"node {node[1]} of pool/{node[0]} is lost for {RETURN:g} s"

    def _node(self) -> tuple[str, str] | None:
        world = self._account.simulation.world
        nodes = sorted((world.pools[node.pool].id, node.id) for node in world.nodes.values())
        return self._chance.choice(nodes) if nodes else None

    def _resize(self) -> str:
        """One node more or less."""
        pool = self._chance.choice(self.pools)
        return self._hand("POST", f"/pools/{pool}/resize", {"targetDedicatedNodes": self._chance.randrange(1, 4)})
