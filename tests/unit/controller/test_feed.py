"""Manifests of a source: read when they are new, kept when newer ones are none."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.controller.feed import Feed
from reconciler.controller.loading import Reading
from reconciler.controller.state import PassEnd
from reconciler.errors import ManifestErrors, SourceError
from reconciler.ports import Checkout, Revision
from reconciler.source.folder import FolderSource
from reconciler.verify import clock
from reconciler.verify.clock import VirtualClock
from reconciler.verify.replica import Repository

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\n"
JOB = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: j}\nspec: {poolInfo: {poolId: p}}\n"


def loaded(folder: Path, revision: str = "", root: str = "", variables: Mapping[str, str] | None = None) -> Any:
    reading = Reading(lambda: variables or {}, {})
    return asyncio.run(reading.load(Checkout(str(folder), Revision(revision, author="Ann"), root)))


def test_a_folder_is_another_one_when_a_file_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(STACK)
    reading, checkout = Reading(dict, {}), Checkout(str(tmp_path), Revision(""))

    async def version() -> object:
        return await reading.version(checkout)

    before = asyncio.run(version())
    assert asyncio.run(version()) == before
    (tmp_path / "a.yaml").write_text(STACK + "spec: {}\n")
    assert asyncio.run(version()) != before


def test_approvals_are_read_beside_the_manifests(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(STACK)
    (tmp_path / ".reconciler").mkdir()
    (tmp_path / ".reconciler/approvals").write_text("# plans\n\nabc123  # the new pool\ndef456\n")
    assert loaded(tmp_path, "0123456789abcdef").approvals == {
        "abc123": "Ann in 0123456789ab",
        "def456": "Ann in 0123456789ab",
    }
    assert set(loaded(tmp_path).approvals.values()) == {".reconciler/approvals"}


def test_mistakes_are_told_with_the_paths_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/a.yaml").write_text(STACK + "spec: {limit: 3}\n")
    with pytest.raises(ManifestErrors) as caught:
        loaded(tmp_path / "m", "abc", str(tmp_path))
    assert str(caught.value).startswith("m/a.yaml:4:")


def test_a_commit_without_a_stack_document_is_refused(tmp_path: Path) -> None:
    """Its name would be that of the folder, which is another one for each commit."""
    (tmp_path / "j.yaml").write_text(JOB)
    with pytest.raises(ManifestErrors, match="expected a Stack document, so that the stack has a name; found none"):
        loaded(tmp_path, "abc", str(tmp_path))
    assert list(loaded(tmp_path).stacks) == [tmp_path.name]


def test_a_folder_that_is_not_there_is_told_and_waited_for(tmp_path: Path) -> None:
    async def work() -> tuple[Any, Any]:
        feed = Feed(FolderSource(str(tmp_path / "m")), Reading(dict, {}), VirtualClock())
        await feed.refresh()
        trouble = feed.trouble
        (tmp_path / "m").mkdir()
        (tmp_path / "m/a.yaml").write_text(STACK)
        await feed.refresh()
        return trouble, feed.manifests

    trouble, manifests = asyncio.run(work())
    assert trouble is PassEnd.SOURCE_ERROR
    assert list(manifests.stacks) == ["s"]


def test_stacks_that_ask_at_the_same_time_share_a_fetch() -> None:
    async def work() -> int:
        fetched = 0

        class Counting(Repository):
            async def fetch(self) -> Checkout:
                nonlocal fetched
                fetched += 1
                await asyncio.sleep(1)
                return await super().fetch()

        source = Counting()
        feed = Feed(source, source, VirtualClock(), fresh=10)
        await asyncio.gather(*(feed.refresh() for _ in range(5)))
        await asyncio.sleep(5)
        await feed.refresh()
        assert fetched == 1
        feed.expire()
        await feed.refresh()
        return fetched

    assert clock.run(work()) == 2


def test_a_revision_that_must_not_be_used_is_named_beside_the_one_in_force() -> None:
    async def work() -> Feed:
        source = Repository()
        source.commit()
        feed = Feed(source, source, VirtualClock())
        await feed.refresh()
        source.away = SourceError("it is not signed", commit="bad")
        await feed.refresh()
        return feed

    feed = clock.run(work())
    assert (feed.revision.id, feed.offered.id, feed.trouble) == ("r1", "bad", PassEnd.INVALID)


def test_what_was_in_force_when_the_last_process_ended_is_taken_up() -> None:
    async def work() -> Feed:
        class Remembering(Repository):
            async def kept(self) -> Checkout | None:
                return Checkout(".", Revision("r7"))

        source = Remembering()
        source.away = SourceError("no answer")
        feed = Feed(source, source, VirtualClock())
        await feed.refresh()
        return feed

    feed = clock.run(work())
    assert (feed.revision.id, feed.trouble, feed.problem) == ("r7", PassEnd.SOURCE_ERROR, "no answer")


def test_a_server_that_does_not_answer_keeps_no_stack_waiting_that_has_manifests() -> None:
    async def work() -> None:
        source = Repository()
        source.commit()
        feed = Feed(source, source, VirtualClock())
        await feed.refresh()
        source.seconds = 120
        source.commit()
        began = asyncio.get_running_loop().time()
        await feed.refresh()
        waited = asyncio.get_running_loop().time() - began
        await feed.refresh()
        again = asyncio.get_running_loop().time() - began - waited
        assert (waited, again, feed.revision.id) == (5, 0, "r1")
        await asyncio.sleep(120)
        assert feed.revision.id == "r2"

    clock.run(work())


def test_what_is_told_while_the_source_is_being_asked_is_asked_for_again() -> None:
    async def work() -> None:
        source = Repository()
        source.commit()
        source.seconds = 2
        feed = Feed(source, source, VirtualClock(), fresh=1000)
        asking = asyncio.ensure_future(feed.refresh())
        await asyncio.sleep(1)
        source.commit()
        feed.expire()
        await feed.refresh()
        await asking
        assert feed.revision.id == "r2"

    clock.run(work())


def test_a_question_that_is_under_way_ends_with_the_feed() -> None:
    async def work() -> None:
        source = Repository()
        source.seconds = 120
        feed = Feed(source, source, VirtualClock())
        asking = asyncio.ensure_future(feed.refresh())
        await asyncio.sleep(1)
        await feed.close()
        await asyncio.wait({asking})
        assert asyncio.get_running_loop().time() < 100
        assert asking.cancelled()

    clock.run(work())
