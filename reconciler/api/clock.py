"""Time as it is outside."""

import asyncio
import time
from datetime import UTC, datetime


class WallClock:
    """The Clock of the world."""

    def now(self) -> float:
        """Seconds of a monotonic clock."""
        return time.monotonic()

    def utc(self) -> str:
        """ISO 8601 UTC."""
        return datetime.now(UTC).isoformat(timespec="milliseconds")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
