"""One token bucket for an account: all requests of all stacks on it, and what the service asks them to wait for.

The service throttles an account, not a caller (REST reference, 429 `TooManyRequests`, 503 `ServerBusy` with
Retry-After). So when one request is told to come back later, nobody sends any before that.
"""

from collections.abc import Callable
from typing import Final

from reconciler.errors import Transient
from reconciler.ports import Clock

RATE: Final = 50.0
"""Requests a second, unless the user says otherwise. The service's own limits are not published."""
BURST: Final = 100.0
LONGEST_WAIT: Final = 5.0
"""Seconds for which a request is held back; one that would have to wait longer is given back to whoever sends it."""
LONGEST_HOLD: Final = 300.0
THROTTLED: Final = frozenset({429, 503})
DEFAULT_HOLD: Final = 1.0
"""Seconds of pause where a refusal names none."""


class Traffic:
    """The requests of one account. *throttled* counts the refusals."""

    def __init__(self, clock: Clock, rate: float = RATE, burst: float = BURST) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._tokens = self._burst
        self._at = clock.now()
        self._hold = 0.0
        self.throttled = 0

    @property
    def held(self) -> float:
        """Seconds until the service is to be asked again; 0 when it may be now."""
        return max(0.0, self._hold - self._clock.now())

    async def admit(self) -> None:
        """Wait until a request may be sent. Raises Transient where that is too long to wait for."""
        while (held := self.held) > 0:
            if held > LONGEST_WAIT:
                busy = Transient("send a request", f"the account asked to be left alone for {held:.0f} s more")
                busy.retry_after = held
                raise busy
            await self._clock.sleep(held)
        now = self._clock.now()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1.0  # may go below zero: the place in the queue is taken before the wait for it
        if self._tokens < 0:
            await self._clock.sleep(-self._tokens / self._rate)

    def answered(self, status: int, retry_after: float | None) -> None:
        """What a request was answered with."""
        if status not in THROTTLED:
            return
        self.throttled += 1
        seconds = DEFAULT_HOLD if retry_after is None else min(retry_after, LONGEST_HOLD)
        self._hold = max(self._hold, self._clock.now() + seconds)


class Gate:
    """What every request of a stack passes just before it is sent, tries again included: the account's bucket, then,
    for one that changes something, the lease. *check* raises LockLost when the lease may have run out.

    The check is the last thing that happens before the request is handed to the network. A process that is stopped
    between the two (SIGSTOP, a paused machine) sends that one request when it wakes, maybe long after another leads.
    Such a request is void, or it is the one that the new leader would send:

    - update, disable, enable, terminate, delete, resize carry the ETag of the state that was looked at. Had the new
      leader, or anybody, changed the object since, it is refused (412). Had it not, the request is the new leader's
      next step too: a step depends on nothing but the manifests and that state.
    - `completed` and `deleting` do not change the ETag: a terminate is then refused (409), a delete finds nothing.
    - create: a taken id is refused, whoever took it; on a free one it creates what the manifests ask for.
    - tasks: an id that exists is refused for its own sake, and the same job was looked at just before.

    What remains: the manifests changed while it slept, and the new leader had nothing to do for that object. Then the
    request is one of the last revision; the next pass puts right what can be put right.
    """

    def __init__(
        self,
        traffic: Traffic,
        check: Callable[[], None],
        told: Callable[[str, int, float], None] = lambda _method, _status, _seconds: None,
    ) -> None:
        self._traffic = traffic
        self._check = check
        self._told = told

    async def admit(self, *, writes: bool) -> None:
        """Wait for the turn of a request. Raises LockLost and Transient; nothing is sent then."""
        await self._traffic.admit()
        if writes:
            self._check()

    def answered(self, method: str, status: int, retry_after: float | None, seconds: float) -> None:
        """A request was answered; *status* 0: it was not."""
        self._traffic.answered(status, retry_after)
        self._told(method, status, seconds)
