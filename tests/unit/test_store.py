"""The ledger in a folder: what was written is there, whole, for whoever looks next."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import StoreError
from reconciler.ledger import Entry, Ledger
from reconciler.model.desired import Key, Kind
from reconciler.store import FolderStore

ENTRY = Entry(
    "s", Key.of(Kind.JOB, "Nightly"), "Nightly", "r", "t", "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z", "success"
)


def store(folder: Path) -> FolderStore:
    return FolderStore(folder, "https://a.westeurope.batch.azure.com", "s")


def read(folder: Path) -> Ledger:
    return asyncio.run(store(folder).ledger())


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_reading_a_store_that_was_never_written_makes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == Ledger()
    assert files(tmp_path) == []


def test_a_store_keeps_the_name_it_got_first(tmp_path: Path) -> None:
    asyncio.run(store(tmp_path).prepare())
    first = read(tmp_path).store_id
    asyncio.run(store(tmp_path).prepare())
    assert len(first) == 8
    assert read(tmp_path).store_id == first
    assert len(files(tmp_path)) == 1


def test_a_run_is_remembered_until_it_is_forgotten(tmp_path: Path) -> None:
    asyncio.run(store(tmp_path).record(ENTRY))
    assert read(tmp_path).entries == {ENTRY.key: ENTRY}
    later = replace(ENTRY, result="failure")
    asyncio.run(store(tmp_path).record(later))
    assert read(tmp_path).entries == {ENTRY.key: later}
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    asyncio.run(store(tmp_path).forget(ENTRY.key))
    asyncio.run(store(tmp_path).forget(ENTRY.key))
    assert read(tmp_path).entries == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 2}', '{"format_version": 1, "kind": "job"}'])
def test_a_ledger_that_cannot_be_read_is_never_taken_for_empty(tmp_path: Path, text: str) -> None:
    asyncio.run(store(tmp_path).record(ENTRY))
    (file,) = files(tmp_path)
    file.write_text(text, "utf-8")
    with pytest.raises(StoreError, match="read the ledger in"):
        read(tmp_path)


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="write the ledger in"):
        asyncio.run(store(Path(os.devnull)).record(ENTRY))


def test_an_account_has_one_store_however_its_name_is_spelled(tmp_path: Path) -> None:
    asyncio.run(FolderStore(tmp_path, "https://A.WestEurope.batch.azure.com", "s").record(ENTRY))
    assert read(tmp_path).entries == {ENTRY.key: ENTRY}
