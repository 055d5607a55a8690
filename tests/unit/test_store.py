"""The ledger in a folder: what was written is there, whole, for whoever looks next."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import StoreError
from reconciler.ledger import Entry, Ledger
from reconciler.model.desired import Key, Kind
from reconciler.observed import Failure, NodeRun, Run
from reconciler.receipt import Log, Receipt
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


def test_a_receipt_says_what_every_node_did(tmp_path: Path) -> None:
    evidence = asyncio.run(store(tmp_path).keep_receipt(RECEIPT))
    assert read(tmp_path).receipts == {(KEY, BORN): evidence}
    (file,) = files(tmp_path)
    assert str(file) == evidence.receipt
    assert file.parts[-2:] == ("receipts", f"etl:job-1@{BORN}.json")
    assert file.stat().st_mode & 0o777 == 0o600
    found = json.loads(file.read_text("utf-8"))
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


def test_logs_stand_beside_their_receipt_and_nowhere_else(tmp_path: Path) -> None:
    there = store(tmp_path)
    asyncio.run(there.keep_log(KEY, BORN, "n1/release/stdout.txt", b"1"))
    asyncio.run(there.keep_log(KEY, BORN, "n1/release/stdout.txt", b"2"))
    asyncio.run(there.keep_log(KEY, BORN, "../../../tasks/.. /stdout.txt", b"3"))
    (evidence,) = {asyncio.run(there.keep_receipt(RECEIPT)), read(tmp_path).receipts[KEY, BORN]}
    logs = Path(evidence.logs)
    assert logs.parts[-2:] == ("logs", f"etl:job-1@{BORN}")
    assert (logs / "n1/release/stdout.txt").read_bytes() == b"2"
    inside = [file for file in files(tmp_path) if logs in file.resolve().parents]
    assert len(inside) == 2
    assert len(files(tmp_path)) == 3


def test_the_first_receipt_of_an_incarnation_stays(tmp_path: Path) -> None:
    """Of two processes that both found the job completed, the second finds the files of its nodes deleted."""
    first = asyncio.run(store(tmp_path).keep_receipt(RECEIPT))
    before = Path(first.receipt).read_bytes()
    late = replace(RECEIPT, nodes=(), logs=(Log("n1/release/stderr.txt", missing="not found"),))
    assert asyncio.run(store(tmp_path).keep_receipt(late)) == first
    assert Path(first.receipt).read_bytes() == before
    assert [path.name for path in (tmp_path).rglob(".new-*")] == []


def test_incarnations_have_receipts_of_their_own(tmp_path: Path) -> None:
    for born in (BORN, "2031-01-01T00:00:00Z"):
        asyncio.run(store(tmp_path).keep_receipt(replace(RECEIPT, born=born)))
    assert read(tmp_path).receipts.keys() == {(KEY, BORN), (KEY, "2031-01-01T00:00:00Z")}
    assert all(evidence.logs == "" for evidence in read(tmp_path).receipts.values())


def test_a_log_that_cannot_be_kept_says_so() -> None:
    with pytest.raises(StoreError, match="write the logs in"):
        asyncio.run(store(Path(os.devnull)).keep_log(KEY, BORN, "n1/release/stdout.txt", b""))
    with pytest.raises(StoreError, match="write the receipts in"):
        asyncio.run(store(Path(os.devnull)).keep_receipt(RECEIPT))
