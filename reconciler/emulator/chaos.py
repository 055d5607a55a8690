"""Trouble for requests: what happens to one, how latency is spread, and a seeded mixture of it all.

Used by `faults`. Whatever is drawn depends on a seed and the number of the request alone: a run can be had again.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

MESSAGE = "A fault was asked for."
_Z99 = 2.3263478740408408  # of the normal distribution


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is to happen to one request."""

    kind: str = "delay"
    delay: float = 0.0
    """Seconds to wait before anything else happens."""
    status: int = 503
    code: str = "ServerBusy"
    message: str = MESSAGE
    retry_after: float | None = None
    seconds: float = 0.0
    """How long a slow body takes; how old a stale answer is."""
    changes: int | None = None
    """How many changes ago a stale answer was true; None: *seconds* count."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of seconds: all equal, evenly between two values, or with a long tail (lognormal)."""

    low: float = 0.0
    high: float = 0.0
    median: float = 0.0
    p99: float = 0.0

    def draw(self, chance: random.Random) -> float:
        if self.median:
            return chance.lognormvariate(math.log(self.median), math.log(self.p99 / self.median) / _Z99)
        return chance.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Chaos:
    """A mixture: some requests fail in one of four ways, some are late, by seed and number."""

    seed: int
    rate: float = 0.1
    """Share of requests that fail: 429, 503, reset before the effect, reset after it, all equally often."""
    late: float = 0.2
    """Share of requests that are late."""
    retry_after: float = 1.0
    """What 429 and 503 ask the client to wait, in seconds."""
    latency: Latency = field(default=Latency(median=0.02, p99=0.3))

    def decide(self, number: int) -> Trouble | None:
        """What happens to the request of that number; None: nothing."""
        chance = random.Random(f"{self.seed}/{number}")
        fails, late, way = chance.random() < self.rate, chance.random() < self.late, chance.randrange(4)
        delay = self.latency.draw(chance) if late else 0.0
        if not fails:
            return Trouble(delay=delay) if late else None
        if way < 2:
            status, code = ((429, "TooManyRequests"), (503, "ServerBusy"))[way]
            message = f"Chaos with seed {self.seed}, request {number}."
            return Trouble("status", delay, status, code, message, self.retry_after)
        return Trouble(("reset", "reset-after")[way - 2], delay)
