"""Every promise of a store holds in a folder and in a container, here one of Azurite's."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.store import Location, Store, location_of, open_store

ENDPOINT = "https://a.westeurope.batch.azure.com"


@dataclass(frozen=True)
class Ground:
    """A location of its own for each test, and the environment that opens it."""

    kind: str
    given: str
    environment: dict[str, str]

    @property
    def location(self) -> Location:
        return location_of(self.given, self.environment)

    @property
    def lease(self) -> float:
        """Seconds: the shortest lease of a blob; in a folder enough for a busy machine to renew it."""
        return 15 if self.kind == "blob" else 6

    def open(self, endpoint: str = ENDPOINT) -> Any:
        return open_store(self.location, endpoint, self.environment)


@pytest.fixture(params=["folder", "blob"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    if request.param == "folder":
        return Ground("folder", str(tmp_path / "kept"), {"HOME": str(tmp_path)})
    azurite = request.getfixturevalue("azurite")
    name = f"s{uuid.uuid4().hex[:12]}"
    azurite.make_container(name)
    return Ground("blob", f"{azurite.base}/{name}/team", {"AZURE_STORAGE_KEY": azurite.key})


@pytest.fixture
async def store(ground: Ground) -> AsyncIterator[Store]:
    async with ground.open() as opened:
        yield opened
