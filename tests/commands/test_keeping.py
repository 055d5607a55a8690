"""Where commands keep what they know, the lock that they take, and the history that they leave."""

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from azurite import Azurite

from reconciler.ports import Holding
from reconciler.store import Location, location_of, open_store
from tests.commands.conftest import JOB, POOL, STACK, Desk

RELEASING = JOB.replace(
    "{poolInfo: {poolId: p}}",
    "{poolInfo: {poolId: p}, jobPreparationTask: {commandLine: 'true'}, jobReleaseTask: {commandLine: 'true'}}",
)


def writes(desk: Desk) -> list[str]:
    return [
        f"{row['method']} {row['path']}" for row in desk.simulation.requests() if row["method"] not in ("GET", "HEAD")
    ]


def place(desk: Desk) -> Location:
    return location_of(None, os.environ)


def locked(desk: Desk, name: str = "s", seconds: float = 60) -> Holding:
    """The lock of a stack, as another process holds it."""

    async def acquire() -> Holding:
        async with open_store(place(desk), desk.simulation.endpoint, os.environ) as store:
            return await store.lock.acquire(name, "anna@elsewhere pid 7", "apply", seconds)

    return asyncio.run(acquire())


def holders(desk: Desk) -> list[str]:
    rows = json.loads(desk.run("lock", "list", "--format", "json").out)["locks"]
    return [row["name"] for row in rows]


def history(desk: Desk, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(desk.run("history", *arguments, "--format", "json").out)["events"])


@pytest.mark.parametrize(("flags", "code"), [([], 1), (["--detailed-exitcode"], 5)])
@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_while_somebody_else_changes_the_stack_nothing_is_sent(
    desk: Desk, command: str, flags: list[str], code: int
) -> None:
    desk.write(pool=POOL)
    locked(desk)
    ran = desk.run(command, str(desk.folder), "--auto-approve", *flags)
    assert (ran.code, writes(desk)) == (code, [])
    assert "error: 's' is locked: anna@elsewhere pid 7 runs apply since 20" in ran.err
    assert "reconciler lock break s" in ran.err
    assert desk.run("plan", str(desk.folder), "--detailed-exitcode").code == 2
    assert desk.run("status", str(desk.folder)).code == 0


def test_of_several_stacks_the_free_ones_are_applied_and_5_is_the_answer(desk: Desk) -> None:
    for name, pool in (("s", "p"), ("t", "q")):
        (desk.folder / name).mkdir()
        (desk.folder / name / "stack.yaml").write_text(STACK.replace("name: s", f"name: {name}"), "utf-8")
        (desk.folder / name / "pool.yaml").write_text(POOL.replace("name: p", f"name: {pool}"), "utf-8")
    (desk.folder / "stack.yaml").unlink()
    locked(desk)
    ran = desk.run("apply", str(desk.folder), "--auto-approve", "--detailed-exitcode")
    assert (ran.code, writes(desk)) == (5, ["POST /pools"])
    assert "error: stack 's': 's' is locked" in ran.err


def test_marks_are_changed_under_the_lock(desk: Desk) -> None:
    desk.write(pool=POOL)
    desk.apply()
    before = writes(desk)
    locked(desk)
    ran = desk.run("orphan", "pool/p", "--auto-approve")
    assert (ran.code, writes(desk)) == (1, before)
    assert "'s' is locked" in ran.err
    desk.run("lock", "break", "s", "--auto-approve")
    assert desk.run("orphan", "pool/p", "--auto-approve").code == 0
    locked(desk)
    assert desk.run("adopt", "pool/p", "--manifests", str(desk.folder), "--auto-approve").code == 1
    desk.run("lock", "break", "s", "--auto-approve")
    assert desk.run("adopt", "pool/p", "--manifests", str(desk.folder), "--auto-approve").code == 0
    assert holders(desk) == []
    told = [(row["event"], row.get("command"), row.get("verb")) for row in history(desk)]
    assert told[-8:] == [
        ("lock-broken", None, None),
        ("run", "orphan", None),
        ("action", None, "orphan"),
        ("end", None, None),
        ("lock-broken", None, None),
        ("run", "adopt", None),
        ("action", None, "adopt"),
        ("end", None, None),
    ]


def test_an_apply_gives_its_lock_back_and_one_without_changes_writes_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.write(pool=POOL)
    desk.apply()
    assert holders(desk) == []
    files = {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()}
    desk.apply()
    assert files == {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()}


def test_locks_are_listed_and_broken_by_name(desk: Desk) -> None:
    assert (
        desk.run("lock", "list").out.splitlines()[-1]
        == f"Nobody holds a lock in {place(desk)}, which excludes the processes of one machine only."
    )
    locked(desk)
    locked(desk, "controller/s", seconds=-1)
    head, other, mine = [line.split("  ") for line in desk.run("lock", "list").out.splitlines()[2:5]]
    assert [word.strip() for word in head if word] == ["LOCK", "HOLDER", "RUNS", "SINCE", "UNTIL"]
    assert (other[0], other[-1]) == ("controller/s", "expired")
    assert mine[0] == "s"
    assert any("anna@elsewhere pid 7" in cell for cell in mine)
    (row, _) = json.loads(desk.run("lock", "list", "--format", "json").out)["locks"]
    assert (row["name"], row["expired"], "token" in row) == ("controller/s", True, False)
    broken = desk.run("lock", "break", "s", str(desk.folder), "--auto-approve")
    assert (broken.code, holders(desk)) == (0, ["controller/s"])
    assert "anna@elsewhere pid 7 runs apply since" in broken.out
    assert broken.out.splitlines()[-1] == "The lock s is free."
    again = desk.run("lock", "break", "s", "--auto-approve")
    assert (again.code, again.err) == (1, "error: nobody holds the lock s\n")


def test_breaking_a_lock_asks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    locked(desk)
    monkeypatch.setattr("builtins.input", lambda _: "no")
    ran = desk.run("lock", "break", "s")
    assert (ran.code, holders(desk)) == (1, ["s"])
    assert ran.out.splitlines()[-1] == "Nothing was changed."


def test_a_folder_that_is_given_wins_over_the_stacks_and_that_over_the_users(desk: Desk, tmp_path: Path) -> None:
    desk.write(pool=POOL, stack=STACK + "spec: {store: {location: ../ours, retention: {days: 3}}}\n")
    desk.apply()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifests", "ours"]
    assert [row["event"] for row in history(desk, str(desk.folder))] == ["run", "action", "end"]
    assert history(desk) == []
    desk.write(pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 2"))
    desk.apply("--store", str(tmp_path / "given"))
    assert len(history(desk, str(desk.folder))) == 3
    assert history(desk, "--store", str(tmp_path / "given"))[-1]["event"] == "end"
    assert not (tmp_path / "state").exists()


def test_a_place_that_is_none_is_refused_with_its_line(desk: Desk) -> None:
    desk.write(stack=STACK + "spec: {store: {location: 's3://x/y'}}\n")
    ran = desk.run("plan", str(desk.folder))
    assert ran.code == 64
    expected = "spec.store.location: expected a folder or https://ACCOUNT.blob.core.windows.net/CONTAINER"
    assert f"stack.yaml:4:26: {expected}, found a URL with s3://" in ran.err
    desk.write(stack=STACK)
    ran = desk.run("plan", str(desk.folder), "--store", "s3://x/y")
    assert (ran.code, ran.err.partition(", found")[0]) == (
        64,
        expected.replace("spec.store.location", "error: --store"),
    )


def test_everything_is_kept_in_a_container(
    desk: Desk, azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"c{uuid.uuid4().hex[:12]}"
    azurite.make_container(name)
    monkeypatch.setenv("AZURE_STORAGE_KEY", azurite.key)
    location = f"{azurite.base}/{name}"
    ending = RELEASING.replace("jobPreparationTask", "onAllTasksComplete: terminatejob, jobPreparationTask")
    desk.write(pool=POOL, job=ending, stack=STACK + f"spec: {{store: {{location: {location}}}}}\n")
    folder = str(desk.folder)
    desk.apply()
    desk.simulation.run_until_idle()
    assert "job/j" in desk.run("status").out
    desk.write(job=ending + "lifecycle: {ttlAfterCompletion: {success: PT1S}, captureLogs: Always}\n")
    desk.apply()
    assert "job/j" not in desk.run("status").out
    assert "No changes." in desk.run("plan", folder).out  # it ran, and the ledger knows it
    assert f"receipt {location}/" in desk.run("status", "job/j", "--store", location).err
    events = [row["event"] for row in history(desk, folder)]
    assert {"run", "action", "release-receipt", "end"} <= set(events)
    assert desk.run("lock", "list", folder).out.splitlines()[-1] == f"Nobody holds a lock in {location}."
    assert not (tmp_path / "state").exists()
    assert azurite.key not in json.dumps(history(desk, folder))


@pytest.mark.parametrize("command", ["plan", "apply", "status", "history"])
def test_a_store_that_cannot_be_reached_stops_a_command_before_anything_is_sent(
    desk: Desk, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", azurite.key)
    desk.write(pool=POOL)
    ran = desk.run(command, str(desk.folder), "--store", f"{azurite.base}/nowhere")
    assert (ran.code, writes(desk)) == (1, [])
    assert "make it: az storage container create --name nowhere --account-name store" in ran.err


def test_a_history_says_who_did_what_and_what_they_consented_to(desk: Desk) -> None:
    desk.write(pool=POOL, job=RELEASING)
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(job=None)
    assert desk.run("apply", str(desk.folder), "--auto-approve", "--allow-deletes", "3").code == 0
    desk.write(
        job=RELEASING.replace("name: j", "name: k"),
        pool=POOL.replace("targetDedicatedNodes: 1", "targetDedicatedNodes: 0"),
    )
    desk.apply("--allow-release-loss", "job/k", "--allow-task-loss", "pool/p")
    rows = history(desk)
    runs = [row for row in rows if row["event"] == "run"]
    assert [row["command"] for row in runs] == ["apply"] * 3
    assert all(row["who"].endswith(f"pid {os.getpid()}") and row["digest"] for row in runs)
    assert {row["run"] for row in rows} == {row["run"] for row in runs}
    consents = [(row["flag"], row.get("object", row.get("value"))) for row in rows if row["event"] == "consent"]
    assert consents == [("--allow-deletes", 3), ("--allow-release-loss", "job/k"), ("--allow-task-loss", "pool/p")]
    calls = [row["request"] for row in rows if row["event"] == "action"]
    assert len(set(calls)) == len(calls) == len([row for row in rows if row["event"] == "action"])
    assert all(uuid.UUID(call) for call in calls)
    assert [row["end"] for row in rows if row["event"] == "end"] == ["settled"] * 3

    lines = desk.run("history").out.splitlines()[2:]
    assert len(lines) == len(rows)
    assert [line[:20] for line in lines] == sorted(line[:20] for line in lines)
    assert any("  job/j: delete (" in line for line in lines)
    assert any(" consented: --allow-deletes 3" in line for line in lines)
    assert any("  job/j: receipt of 1 node in " in line for line in lines)
    about = desk.run("history", "job/k").out
    assert "job/k: create" in about
    assert "job/j" not in about
    assert history(desk, "--since", "2999-01-01") == []
    assert len(history(desk, "--since", "1h")) == len(rows)
    assert desk.run("history", "--since", "soon").code == 64
    assert desk.run("history", "job/k", "pool/p").code == 64


def test_an_account_without_history_says_so(desk: Desk) -> None:
    assert desk.run("history").out.splitlines()[-1] == f"Nothing is written down in {place(desk)}."


def test_a_history_names_the_line_of_a_consent_that_a_commit_gave(desk: Desk) -> None:
    annotation = '"reconciler/allow-task-loss": "pool/p until 2999-01-01T00:00:00Z"'
    over = '"reconciler/allow-release-loss": "job/j until 2001-01-01T00:00:00Z"'
    stack = STACK.replace("{name: s}", f"{{name: s, annotations: {{{annotation}, {over}}}}}")
    desk.write(pool=POOL, stack=stack)
    desk.apply()
    (consent,) = [row for row in history(desk) if row["event"] == "consent"]
    assert (consent["object"], consent["until"]) == ("pool/p", "2999-01-01T00:00:00Z")
    assert consent["source"].endswith("stack.yaml:3")
    assert "consent of " in desk.run("history", "pool/p").out


def test_receipts_beyond_the_retention_go_with_the_run_that_writes_new_ones(desk: Desk, tmp_path: Path) -> None:
    store = "spec: {store: {location: ../kept, retention: {receipts: 1}}}\n"
    names = [f"j{number}" for number in range(3)]
    desk.write(
        pool=POOL, stack=STACK + store, **{name: RELEASING.replace("name: j", f"name: {name}") for name in names}
    )
    desk.apply()
    desk.simulation.run_until_idle()
    for name in names:
        desk.write(**{name: None})
        desk.apply()
    (receipt,) = (tmp_path / "kept").glob("*/s/receipts/*")
    assert receipt.name.startswith("j2@")


def test_the_flags_of_every_command_that_knows_a_store(desk: Desk, tmp_path: Path) -> None:
    kept, endpoint, account = str(tmp_path / "kept"), desk.simulation.endpoint, desk.simulation.account
    (tmp_path / "values.yaml").write_text("a: x\n", "utf-8")
    desk.write(pool=POOL, stack=STACK + "spec: {variables: {a: {}, b: {}}}\n")
    apply = ("--var-file", "values.yaml", "--var", "b=y", "--store", kept, "--auto-approve")
    assert desk.run("apply", "manifests", *apply).code == 0
    assert desk.run("orphan", "pool/p", "--store", kept, "--auto-approve").code == 0
    adopted = desk.run("adopt", "pool/p", "--manifests", "manifests", "--store", kept, *apply[:4], "--auto-approve")
    assert adopted.code == 0
    assert desk.run("destroy", "manifests", "--store", kept, *apply[:4], "--auto-approve").code == 0
    told = desk.run(
        *("history", "manifests", "--store", kept, "--var", "b=y", "--var-file", "values.yaml"),
        *("--endpoint", endpoint, "--account", account, "--debug", "--no-color"),
    )
    assert [line.split("  ")[2].split(" by ")[0] for line in told.out.splitlines() if " pid " in line] == [
        "apply",
        "orphan",
        "adopt",
        "destroy",
    ]
    assert not (tmp_path / "state").exists()
    listed = desk.run(
        *("lock", "list", "manifests", "--store", kept, "--var", "b=y", "--var-file", "values.yaml"),
        *("--endpoint", endpoint, "--account", account, "--debug", "--no-color"),
    )
    assert f"Nobody holds a lock in {kept}" in listed.out
    broken = desk.run(
        *("lock", "break", "s", "manifests", "--store", kept, "--var", "b=y", "--var-file", "values.yaml"),
        *("--endpoint", endpoint, "--account", account, "--debug", "--no-color"),
    )
    assert (broken.code, "NotThere: nobody holds the lock s" in broken.err) == (1, True)  # --debug: the traceback, too
