"""The journal: in order, whole, bounded."""

import asyncio
from pathlib import Path

from reconciler.model.desired import Retention
from reconciler.store import Store, location_of, open_store


async def test_events_come_back_in_the_order_they_were_written(store: Store) -> None:
    journal = store.journal("s", run="r1")
    await journal.write("run", command="apply")
    await journal.write("action", object="job/j", verb="create", error=None)
    await store.journal("t").write("run")
    first, second = await store.events("s")
    assert (first["event"], first["run"], first["command"]) == ("run", "r1", "apply")
    assert (second["event"], second["object"], second["error"]) == ("action", "job/j", None)
    assert str(first["at"]) <= str(second["at"])
    assert await store.stacks() == ("s", "t")


async def test_two_writers_at_once_lose_nothing(store: Store) -> None:
    journals = [store.journal("s", run=str(number)) for number in range(2)]
    await asyncio.gather(*(journal.write("action", n=n) for n in range(10) for journal in journals))
    found = {(row["run"], row["n"]) for row in await store.events("s")}
    assert found == {(str(run), n) for run in range(2) for n in range(10)}


async def test_it_does_not_grow_beyond_its_retention(store: Store) -> None:
    journal = store.journal("s", Retention(journal=4000))
    for number in range(60):
        await journal.write("action", number=number, text="x" * 100)
        assert sum(item.size for item in await store.shelf.items("s/journal")) <= 4000 + 200
    kept = [row["number"] for row in await store.events("s")]
    assert kept == list(range(kept[0], 60))  # type: ignore[call-overload]
    assert 10 <= len(kept) < 60


async def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    async with open_store(location_of(str(tmp_path), {}), "https://a", {}) as store:
        await store.journal("s").write("run", number=1)
        (segment,) = (tmp_path / "a/s/journal").iterdir()
        with segment.open("a", encoding="utf-8") as file:
            file.write('{"at": "20')
        await store.journal("s").write("run", number=2)
        first, torn, second = await store.events("s")
    assert (first["number"], second["number"]) == (1, 2)
    assert (torn["event"], torn["text"]) == ("unreadable", '{"at": "20')


async def test_a_line_that_was_sent_twice_is_one_event(tmp_path: Path) -> None:
    """An append whose answer was lost is tried again."""
    async with open_store(location_of(str(tmp_path), {}), "https://a", {}) as store:
        await store.journal("s").write("run")
        (segment,) = (tmp_path / "a/s/journal").iterdir()
        segment.write_bytes(segment.read_bytes() * 2)
        assert len(await store.events("s")) == 1
