"""The simulated account as the processes reach it, with the witness who sees every request and every command."""

import asyncio
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Any, Final

import orjson

from reconciler.emulator import Simulation
from reconciler.emulator.switches import Switches
from reconciler.verify.clock import START, moment
from reconciler.verify.wire import Answer, Request
from reconciler.verify.witness import Witness

ENDPOINT: Final = "http://simulation"
PORTAL: Final = "portal"
"""The name of somebody who works by hand."""


class Account:
    """One simulated account whose time is that of the running loop. Every command takes *seconds* and succeeds: what it
    says of sleeping would be waited for by all."""

    def __init__(self, witness: Witness, switches: Switches | None = None, seconds: float = 1.0) -> None:
        self.simulation = Simulation(start=START.isoformat(), switches=switches)
        self.simulation.script(seconds=seconds)
        self.witness = witness
        self.simulation.on_run(witness.see_run)
        witness.world = self.simulation.world

    @property
    def seconds(self) -> float:
        """Seconds since START."""
        return asyncio.get_running_loop().time()

    def catch_up(self) -> None:
        """Let everything happen in the account that has happened by now."""
        behind = (moment(self.seconds) - self.simulation.now).total_seconds()
        if behind > 0:
            self.simulation.advance(behind)

    def serve(self, who: str, request: Request) -> Answer:
        """Carry out one request now."""
        self.catch_up()
        done = self.witness.watch(who, request)
        headers = dict(request.headers)
        answer = self.simulation.request(
            request.method, request.path, request.content, query=request.query, headers=headers
        )
        done(answer.status)
        shown = {"Date": format_datetime(moment(self.seconds), usegmt=True), **answer.headers}
        if answer.body is None:
            return Answer(answer.status, b"", shown)
        content = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        return Answer(answer.status, content, {"Content-Type": "application/json", **shown})

    def by_hand(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> int:
        """One request of somebody in the portal; its status."""
        content = b"" if body is None else orjson.dumps(body)
        headers = {} if body is None else {"content-type": "application/json; odata=minimalmetadata"}
        return self.serve(PORTAL, Request(method, path, "api-version=2025-06-01", headers, content)).status

    def close(self) -> None:
        """Let go of it."""
        self.simulation.close()
