"""What was written is there, whole, for whoever looks next; what cannot be read is never taken for empty."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from store.conftest import Ground

from reconciler.errors import StoreError
from reconciler.ledger import Entry, Ledger
from reconciler.model.desired import Key, Kind, Retention
from reconciler.observed import Failure, NodeRun, Run
from reconciler.receipt import Log, Receipt
from reconciler.store import Store, location_of, open_store

ENTRY = Entry(
    "s", Key.of(Kind.JOB, "Nightly"), "Nightly", "r", "t", "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z", "success"
)
KEY, BORN = Key.of(Kind.JOB, "Etl:job-1"), "2030-01-01T00:00:00.1234567Z"
FAILED = Run(
    "completed",
    3,
    "failure",
    Failure("UserError", "FailureExitCode", "the task failed", (("Message", "more"),)),
    1,
    "2030-01-01T00:01:00Z",
    "2030-01-01T00:02:00Z",
    "workitems/etl/job-1/jobrelease",
)
RECEIPT = Receipt(
    "s",
    KEY,
    "Etl:job-1",
    BORN,
    "2030-01-01T00:02:00Z",
    "reconciler",
    "p",
    (NodeRun("n1", "p", FAILED, FAILED),),
    "Always",
    (Log("n1/release/stdout.txt", 7, 7), Log("n1/release/stderr.txt", missing="gone")),
)


async def names(store: Store) -> set[str]:
    return {item.name for item in await store.shelf.items("s")}


async def test_reading_a_store_that_was_never_written_makes_nothing(store: Store, tmp_path: Path) -> None:
    assert await store.records("s").ledger() == Ledger()
    assert (await store.stacks(), await store.events("s"), await store.lock.holdings()) == ((), (), ())
    assert not (tmp_path / "kept").exists()


async def test_a_store_keeps_the_name_it_got_first(store: Store) -> None:
    await store.records("s").prepare()
    first = (await store.records("s").ledger()).store_id
    await store.records("s").prepare()
    assert len(first) == 8
    assert (await store.records("s").ledger()).store_id == first
    assert await names(store) == {"s/store-id"}


async def test_a_run_is_remembered_until_it_is_forgotten(store: Store) -> None:
    mine, other = store.records("s"), store.records("s")
    await mine.record(ENTRY)
    assert (await other.ledger()).entries == {ENTRY.key: ENTRY}
    later = replace(ENTRY, result="failure")
    await mine.record(later)
    assert (await other.ledger()).entries == {ENTRY.key: later}
    await mine.forget(ENTRY.key)
    await mine.forget(ENTRY.key)
    assert (await other.ledger()).entries == {}
    assert await store.records("t").ledger() == Ledger()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 2}', '{"format_version": 1, "kind": "job"}'])
async def test_a_ledger_that_cannot_be_read_is_never_taken_for_empty(store: Store, text: str) -> None:
    await store.records("s").record(ENTRY)
    await store.shelf.put("s/ledger/job-nightly.json", text.encode())
    with pytest.raises(StoreError, match="read the ledger in"):
        await store.records("s").ledger()


async def test_an_account_has_one_place_however_its_name_is_spelled(ground: Ground) -> None:
    async with ground.open("https://A.WestEurope.batch.azure.com/") as one:
        await one.records("s").record(ENTRY)
    async with ground.open() as other:
        assert (await other.records("s").ledger()).entries == {ENTRY.key: ENTRY}
        assert await other.stacks() == ("s",)
    async with ground.open("https://b.westeurope.batch.azure.com") as third:
        assert await third.stacks() == ()


async def test_a_receipt_says_what_every_node_did(store: Store) -> None:
    evidence = await store.records("s").keep_receipt(RECEIPT)
    assert (await store.records("s").ledger()).receipts == {(KEY, BORN): evidence}
    assert await names(store) == {f"s/receipts/etl:job-1@{BORN}.json"}
    found = json.loads(await store.shelf.read(f"s/receipts/etl:job-1@{BORN}.json") or b"")
    assert found == await store.records("s").receipt(KEY, BORN)
    assert (found["format_version"], found["job"], found["born"]) == (1, "Etl:job-1", BORN)
    (node,) = found["nodes"]
    assert (node["node"], node["pool"]) == ("n1", "p")
    assert node["release"] == {
        "state": "completed",
        "exit_code": 3,
        "result": "failure",
        "failure": {
            "category": "UserError",
            "code": "FailureExitCode",
            "message": "the task failed",
            "details": [["Message", "more"]],
        },
        "retries": 1,
        "started": "2030-01-01T00:01:00Z",
        "ended": "2030-01-01T00:02:00Z",
        "directory": "workitems/etl/job-1/jobrelease",
    }
    assert [log["missing"] for log in found["logs"]] == ["", "gone"]


async def test_logs_stand_beside_their_receipt_and_nowhere_else(store: Store) -> None:
    there = store.records("s")
    await there.keep_log(KEY, BORN, "n1/release/stdout.txt", b"1")
    await there.keep_log(KEY, BORN, "n1/release/stdout.txt", b"2")
    await there.keep_log(KEY, BORN, "../../../tasks/.. /stdout.txt", b"3")
    (evidence,) = {await there.keep_receipt(RECEIPT), (await there.ledger()).receipts[KEY, BORN]}
    folder = f"s/logs/etl:job-1@{BORN}"
    assert evidence.logs.endswith(folder.replace(":", "%3A").replace("@", "%40")) or evidence.logs.endswith(folder)
    assert await store.shelf.read(f"{folder}/n1/release/stdout.txt") == b"2"
    assert len([name for name in await names(store) if name.startswith(folder)]) == 2
    assert len(await names(store)) == 3


async def test_the_first_receipt_of_an_incarnation_stays(store: Store) -> None:
    """Of two processes that both found the job completed, the second finds the files of its nodes deleted."""
    there = store.records("s")
    first = await there.keep_receipt(RECEIPT)
    before = await there.receipt(KEY, BORN)
    late = replace(RECEIPT, nodes=(), logs=(Log("n1/release/stderr.txt", missing="not found"),))
    assert await there.keep_receipt(late) == first
    assert await there.receipt(KEY, BORN) == before
    assert len(await names(store)) == 1


async def test_incarnations_have_receipts_of_their_own(store: Store) -> None:
    there = store.records("s")
    for born in (BORN, "2031-01-01T00:00:00Z"):
        await there.keep_receipt(replace(RECEIPT, born=born))
    receipts = (await there.ledger()).receipts
    assert receipts.keys() == {(KEY, BORN), (KEY, "2031-01-01T00:00:00Z")}
    assert all(evidence.logs == "" for evidence in receipts.values())


async def test_what_is_beyond_the_retention_goes_oldest_first_but_never_what_is_still_there(store: Store) -> None:
    there = store.records("s", Retention(receipts=2))
    borns = [f"2030-01-0{day}T00:00:00Z" for day in range(1, 6)]
    for born in borns:
        await there.keep_log(KEY, born, "n1/release/stdout.txt", b"12345")
        await there.keep_receipt(replace(RECEIPT, born=born))
        if store.location.folder is not None:  # files of one tick of the clock have no order
            for item in await store.shelf.items("s"):
                if born in item.name:
                    at = 1_000_000_000 + borns.index(born)
                    os.utime(store.location.folder / "a.westeurope.batch.azure.com" / item.name, (at, at))
    held = (KEY, borns[0])
    removed = await there.prune([held])
    receipts = (await there.ledger()).receipts
    assert held in receipts
    assert all(evidence.logs for evidence in receipts.values())
    assert (removed, len(receipts), len(await names(store))) == (2, 3, 6)
    assert await there.prune([held]) == 0
    full = store.records("s", Retention(logs=5))
    await full.prune([])
    assert len((await full.ledger()).receipts) == 3
    assert [name for name in await names(store) if "/logs/" in name].__len__() == 1


async def test_what_is_older_than_the_days_of_the_retention_goes(tmp_path: Path) -> None:
    location = location_of(str(tmp_path), {})
    async with open_store(location, "https://a", {}) as store:
        there = store.records("s", Retention(days=30))
        for born in ("old", "new"):
            await there.keep_receipt(replace(RECEIPT, born=born))
        os.utime(tmp_path / "a/s/receipts/etl:job-1@old.json", (1_000_000_000, 1_000_000_000))
        assert await there.prune([]) == 1
        assert [born for _, born in (await there.ledger()).receipts] == ["new"]


async def test_files_are_private_to_the_user(tmp_path: Path) -> None:
    async with open_store(location_of(str(tmp_path / "kept"), {}), "https://a", {}) as store:
        there = store.records("s")
        await there.prepare()
        await there.record(ENTRY)
        await there.keep_log(KEY, BORN, "n1/release/stdout.txt", b"1")
        await there.keep_receipt(RECEIPT)
        await store.journal("s").write("run")
        await store.lock.acquire("s", "o", "apply", 60)
    files = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert len(files) == 7
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


async def test_a_folder_that_cannot_be_written_says_what_was_tried() -> None:
    async with open_store(location_of(os.devnull, {}), "https://a", {}) as store:
        there = store.records("s")
        for match, work in (
            ("write the ledger in", lambda: there.record(ENTRY)),
            ("write the logs in", lambda: there.keep_log(KEY, BORN, "n1/release/stdout.txt", b"")),
            ("write the receipts in", lambda: there.keep_receipt(RECEIPT)),
            ("write the journal in", lambda: store.journal("s").write("run")),
            ("take the lock s in", lambda: store.lock.acquire("s", "o", "apply", 60)),
        ):
            with pytest.raises(StoreError, match=match):
                await work()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full: run it on Linux")
async def test_a_full_disk_is_an_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    async with open_store(location_of(str(tmp_path), {}), "https://a", {}) as store:
        await store.journal("s").write("run")
        (segment,) = (tmp_path / "a/s/journal").iterdir()
        segment.unlink()
        segment.symlink_to("/dev/full")
        with pytest.raises(StoreError, match="No space left on device"):
            await store.journal("s").write("run")
