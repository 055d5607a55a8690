"""What people tell a controller, in a folder as in any store."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.controller.grants import Grant, Grants
from reconciler.controller.loop import StackLoop
from reconciler.controller.notebook import USED, ApprovalNote, Notebook
from reconciler.controller.state import Suspension
from reconciler.errors import StoreError
from reconciler.lifecycle.steps import Verb
from reconciler.model.desired import Key, Kind
from reconciler.store.folder import FolderShelf
from reconciler.store.notes import ShelfNotes


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(ShelfNotes(FolderShelf(tmp_path / "s")))


def test_what_was_said_is_read_by_the_next_process(notebook: Notebook) -> None:
    grant = Grant((Verb.CREATE,), None, frozenset({"vmSize"}), False, frozenset(), "d", begun=True)
    said = [
        Suspension("", "by hand", "ann", "2026-01-01T00:00:00Z"),
        Suspension("job/J-1", "odd", "bob", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
    ]
    grants = Grants({Key.of(Kind.POOL, "p"): grant}, "abc", "ann")

    async def work() -> None:
        for suspension in said:
            await notebook.suspend(suspension)
        await notebook.approve(ApprovalNote("abc", "ann", "2026-01-01T00:00:00Z"))
        await notebook.grant(grants)
        found = await notebook.read()
        assert found.suspensions == tuple(said)
        assert list(found.approvals) == ["abc"]
        assert found.grants == grants
        await notebook.resume("job/j-1")
        await notebook.resume("")
        await notebook.grant(Grants({}))
        assert (await notebook.read()).suspensions == ()
        assert not (await notebook.read()).grants.roads

    asyncio.run(work())


def test_used_approvals_are_forgotten_in_time_the_oldest_first(notebook: Notebook) -> None:
    async def work() -> set[str]:
        await notebook.approve(ApprovalNote("open", "ann", "2026-01-01T00:00:00Z"))
        for number in range(USED + 2):
            await notebook.approve(ApprovalNote(f"{number:04}", "ann", "2026", used=f"2026-{number:04}"))
        await notebook.forget_approvals(await notebook.read())
        return set((await notebook.read()).approvals)

    left = asyncio.run(work())
    assert len(left) == USED + 1
    assert "open" in left
    assert not {"0000", "0001"} & left


def test_an_approval_that_the_source_still_names_is_remembered_as_used(notebook: Notebook) -> None:
    """Else the same line would approve once more."""

    async def work() -> set[str]:
        for number in range(USED + 2):
            await notebook.approve(ApprovalNote(f"{number:04}", "ann", "2026", used=f"2026-{number:04}"))
        await notebook.forget_approvals(await notebook.read(), {"0000"})
        return set((await notebook.read()).approvals)

    left = asyncio.run(work())
    assert "0000" in left
    assert "0001" not in left


def test_a_note_that_cannot_be_read_is_an_error(notebook: Notebook, tmp_path: Path) -> None:
    folder = tmp_path / "s/notes/suspensions"
    folder.mkdir(parents=True)
    for text, said in (
        ("[]", None),
        ("{", None),
        ('{"address": ""}', "read a suspension: it says nothing of 'reason'"),
    ):
        (folder / "stack.json").write_text(text)
        with pytest.raises(StoreError, match=said):
            asyncio.run(notebook.read())
    (folder / "stack.json").unlink()
    approvals = tmp_path / "s/notes/approvals"
    approvals.mkdir(parents=True)
    (approvals / "abc.json").write_text('{"digest": "abc"}')
    with pytest.raises(StoreError, match="read an approval: it says nothing of 'who'"):
        asyncio.run(notebook.read())


def test_nothing_is_noted_before_it_is_known_where() -> None:
    new = SimpleNamespace(_kept=None, name="s")
    with pytest.raises(StoreError, match="stack 's' has not been looked at yet: try again"):
        StackLoop.notebook.__get__(new)
