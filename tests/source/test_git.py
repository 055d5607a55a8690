"""A branch as a source: each test has a real repository, fetched by the real git."""

import asyncio
import io
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from source.conftest import LINK, MODULE, Maker, Repository

from reconciler.errors import SourceError
from reconciler.ports import Checkout
from reconciler.source import tree
from reconciler.source.git import GitSource
from reconciler.source.tree import Limits


def contents(checkout: Checkout) -> dict[str, str]:
    """What is checked out, by name."""
    root = Path(checkout.root)
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace"): path.read_text() for path in found}


def commits(state: Path) -> set[str]:
    """The revisions on the disk."""
    return {path.name for path in state.glob("sources/*/checkouts/*") if path.is_dir()}


async def refusal(source: GitSource) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await source.fetch()
    return caught.value


async def test_a_revision_is_checked_out_whole_and_says_what_it_is(repository: Repository, source: Maker) -> None:
    commit = repository.commit(
        {"stack.yaml": "a", "jobs/nightly.yaml": "b"}, "Run nightly\n\nlong text", author="Ada Lovelace"
    )
    found = await source().fetch()
    assert contents(found) == {"jobs/nightly.yaml": "b", "stack.yaml": "a"}
    assert found.path == found.root
    assert Path(found.path).name == "manifests"  # what a stack without a name is called: not the commit
    assert (found.revision.id, found.revision.subject, found.revision.author) == (commit, "Run nightly", "Ada Lovelace")
    assert (found.revision.at, found.revision.note) == ("2026-01-01T01:00:00Z", "")


async def test_a_path_is_the_folder_or_file_in_the_revision(repository: Repository, source: Maker) -> None:
    repository.commit({"prod/pool.yaml": "p", "base/pool.yaml": "b"})
    folder, file = await source(path="prod/").fetch(), await source(path="./prod/pool.yaml").fetch()
    assert folder.path == f"{folder.root}/prod"
    assert Path(file.path).read_text() == "p"
    assert (Path(folder.path) / "../base/pool.yaml").read_text() == "b"  # overlays refer to it


async def test_a_new_commit_is_fetched_and_the_one_before_stays_for_who_still_reads_it(
    repository: Repository, source: Maker
) -> None:
    follows = source()
    repository.commit({"a.yaml": "1"})
    first = await follows.fetch()
    repository.commit({"a.yaml": "2"})
    second = await follows.fetch()
    assert (contents(first), contents(second)) == ({"a.yaml": "1"}, {"a.yaml": "2"})


async def test_old_revisions_go_but_not_the_one_in_force(repository: Repository, source: Maker, tmp_path: Path) -> None:
    follows = source()
    made = []
    for number in range(5):
        made.append(repository.commit({"a.yaml": str(number)}))
        found = await follows.fetch()
        if number == 1:
            await follows.keep(found.revision)
    assert commits(tmp_path / "state") == {made[1], made[3], made[4]}
    await follows.keep(found.revision)
    assert made[1] not in commits(tmp_path / "state")


async def test_what_another_process_reads_is_not_removed(repository: Repository, source: Maker, tmp_path: Path) -> None:
    ours, theirs = source(), source()
    repository.commit({"a.yaml": "0"})
    held = await theirs.fetch()
    for number in range(1, 4):
        repository.commit({"a.yaml": str(number)})
        await ours.fetch()
    assert contents(held) == {"a.yaml": "0"}
    await theirs.close()
    repository.commit({"a.yaml": "4"})
    await ours.fetch()
    assert held.revision.id not in commits(tmp_path / "state")


async def test_the_revision_in_force_is_there_after_a_restart_without_the_repository(
    repository: Repository, source: Maker
) -> None:
    repository.commit({"a.yaml": "good"})
    before = source()
    assert await before.kept() is None
    await before.keep((await before.fetch()).revision)
    repository.commit({"a.yaml": "broken"})
    await before.fetch()
    await before.close()
    repository.folder.rename(repository.folder.with_name("gone"))
    after = source()
    error = await refusal(after)
    assert error.commit == ""
    assert str(error).startswith(f"{repository.url}: git ls-remote: ")
    kept = await after.kept()
    assert kept
    assert contents(kept) == {"a.yaml": "good"}


async def test_what_was_not_fetched_cannot_be_kept(repository: Repository, source: Maker) -> None:
    repository.commit({"a.yaml": "1"})
    follows = source()
    found = await follows.fetch()
    missing = type(found.revision)("0" * 40)
    with pytest.raises(SourceError, match="not fetched, or removed since"):
        await follows.keep(missing)


@pytest.mark.parametrize("damage", ["emptied", "removed", "added", "replaced by a link", "listing cut"])
async def test_files_that_are_not_as_they_were_written_are_fetched_again(
    repository: Repository, source: Maker, damage: str
) -> None:
    """A power cut leaves empty files, and an empty manifest would look like objects that were removed."""
    repository.commit({"a.yaml": "content", "sub/b.yaml": "more"})
    first = source()
    found = await first.fetch()
    await first.keep(found.revision)
    await first.close()
    file = Path(found.root, "a.yaml")
    match damage:
        case "emptied":
            file.chmod(0o600)
            file.write_text("")
        case "removed":
            file.unlink()
        case "added":
            Path(found.root, "sub/c.yaml").write_text("kind: Pool")
        case "replaced by a link":
            file.rename(file.with_suffix(".txt"))
            file.symlink_to("a.txt")
        case "listing cut":
            listing = Path(found.root).parent / "listing"
            listing.write_bytes(listing.read_bytes()[:-20])
    assert await source().kept() is None
    assert contents(await source().fetch()) == {"a.yaml": "content", "sub/b.yaml": "more"}


async def test_files_are_there_to_be_read_only(repository: Repository, source: Maker) -> None:
    repository.commit({"a.yaml": "1", "run.sh": ("100755", "true")})
    root = Path((await source().fetch()).root)
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in root.iterdir()} == {
        "a.yaml": "0o400",
        "run.sh": "0o400",
    }


async def test_a_crash_on_the_way_leaves_what_was_there(repository: Repository, source: Maker, tmp_path: Path) -> None:
    repository.commit({"a.yaml": "1"})
    first = source()
    await first.fetch()
    folder = next((tmp_path / "state/sources").iterdir())
    for left in ("incoming-dead/repository", "incoming-dead/done/manifests"):
        (folder / left).mkdir(parents=True)
    (folder / "incoming-dead/repository/shallow.lock").touch()
    (folder / "checkouts" / ("a" * 40)).mkdir()  # it was renamed, and nothing more
    repository.commit({"a.yaml": "2"})
    assert contents(await source().fetch()) == {"a.yaml": "2"}
    assert sorted(path.name for path in folder.iterdir()) == [".gitconfig", "checkouts", "lock", "newest"]
    assert "a" * 40 not in commits(tmp_path / "state")


async def test_a_fetch_that_is_called_off_leaves_nothing_half_done(
    repository: Repository, source: Maker, tmp_path: Path
) -> None:
    repository.commit({f"{number}.yaml": "x" * 1000 for number in range(300)})
    follows = source()
    for pause in (0.002, 0.005, 0.01, 0.02, 0.03, 0.05):
        fetching = asyncio.create_task(follows.fetch())
        await asyncio.sleep(pause)
        fetching.cancel()
        await asyncio.wait([fetching])
    assert len(contents(await follows.fetch())) == 300
    assert not list((tmp_path / "state").glob("sources/*/incoming-*"))


def test_a_loop_that_ends_in_the_middle_of_a_fetch_ends(repository: Repository, tmp_path: Path) -> None:
    async def begin(pause: float) -> None:
        follows = GitSource(repository.url, "main", "", tmp_path / "state", {"PATH": os.environ["PATH"]})
        fetching = asyncio.create_task(follows.fetch())
        await asyncio.sleep(pause)
        assert fetching  # left to itself, as when a program ends on an error elsewhere

    def several() -> None:
        for pause in range(12):
            asyncio.run(begin(pause / 1000))

    repository.commit({"a.yaml": "1"})
    thread = threading.Thread(target=several, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


async def test_two_processes_may_fetch_at_the_same_time(repository: Repository, source: Maker) -> None:
    repository.commit({"a.yaml": "1"})
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(source().fetch()) for _ in range(4)]
    found = [task.result() for task in running]
    assert len({each.path for each in found}) == 1
    assert all(contents(each) == {"a.yaml": "1"} for each in found)


async def test_who_cannot_have_the_folder_says_so(repository: Repository, source: Maker, tmp_path: Path) -> None:
    import fcntl

    repository.commit({"a.yaml": "1"})
    await source().fetch()
    lock = next((tmp_path / "state/sources").glob("*/lock"))
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="changed by another process"):
            await source(timeout=0.2).kept()


async def test_a_rewritten_branch_is_followed_and_the_revision_says_so(repository: Repository, source: Maker) -> None:
    follows = source()
    first = repository.commit({"a.yaml": "1"})
    repository.commit({"a.yaml": "2"})
    await follows.fetch()
    for number in range(3):
        repository.commit({"a.yaml": f"3{number}"})
    straight = await follows.fetch()
    assert straight.revision.note == ""
    repository.commit({"a.yaml": "other"}, parent=first)
    forced = await follows.fetch()
    gone = straight.revision.id[:12]
    expected = f"the history of main was rewritten: {gone}, fetched before, is no longer part of it"
    assert (contents(forced), forced.revision.note) == ({"a.yaml": "other"}, expected)
    assert (await follows.fetch()).revision.note == expected  # until the next commit
    assert (await source().fetch()).revision.note == expected  # in the next process too


async def test_a_branch_that_is_put_back_is_a_rewritten_one(repository: Repository, source: Maker) -> None:
    follows = source()
    first = repository.commit({"a.yaml": "1"})
    await follows.fetch()
    second = repository.commit({"a.yaml": "2"})
    await follows.fetch()
    repository.git("update-ref", "refs/heads/main", first)  # its files are still on the disk
    back = await follows.fetch()
    assert (back.revision.id, second[:12] in back.revision.note) == (first, True)


async def test_only_commits_are_read_to_tell_of_a_rewrite_where_the_server_can(
    repository: Repository, source: Maker
) -> None:
    repository.git("config", "uploadpack.allowFilter", "true")
    follows = source()
    first = repository.commit({"a.yaml": "1"})
    await follows.fetch()
    repository.commit({"a.yaml": "2"})
    assert (await follows.fetch()).revision.note == ""
    repository.commit({"a.yaml": "3"}, parent=first)
    assert "rewritten" in (await follows.fetch()).revision.note


async def test_an_unknown_or_deleted_branch_is_named_with_the_nearest_one(
    repository: Repository, source: Maker
) -> None:
    repository.commit({"a.yaml": "1"})
    repository.commit({"a.yaml": "1"}, branch="feature/refs/heads/mian")  # ends as the one that is asked for
    assert str(await refusal(source(branch="mian"))) == (
        f"{repository.url}: no branch mian (deleted, or never there); did you mean main?"
    )
    assert str(await refusal(source(branch="trunk"))).endswith("; did you mean main?")


async def test_an_empty_repository_is_an_error_not_an_empty_source(repository: Repository, source: Maker) -> None:
    assert str(await refusal(source())) == f"{repository.url}: the repository is empty: it has no branch at all"


async def test_a_commit_without_files_is_an_empty_folder(repository: Repository, source: Maker) -> None:
    """Whether that may remove everything is for the guards to say."""
    repository.commit({})
    found = await source().fetch()
    assert contents(found) == {}
    assert Path(found.path).is_dir()


@pytest.mark.parametrize(
    ("files", "path", "said"),
    [
        ({"a.yaml": "1"}, "manifests", "no folder or file 'manifests' (--path)"),
        (
            {"manifests": (LINK, "other"), "other/a.yaml": "1"},
            "manifests",
            "manifests is a symbolic link: give the path",
        ),
        ({"x": (LINK, "other"), "other/m/a.yaml": "1"}, "x/m", "x is a symbolic link: give the path"),
        ({"sub": (MODULE, "1" * 40)}, "sub/m", "sub is a submodule: give the path"),
        ({"m/sub": (MODULE, "1" * 40)}, "m", "m/sub: a submodule; they are not followed"),
        (
            {"m/a.yaml": (LINK, "/etc/passwd")},
            "m",
            "m/a.yaml: a symbolic link that leads out of the repository, to /etc/passwd",
        ),
        (
            {"m/a.yaml": (LINK, "../../x")},
            "m",
            "m/a.yaml: a symbolic link that leads out of the repository, to ../../x",
        ),
        (
            {"p/q/up": (LINK, "../.."), "p/q/a.yaml": (LINK, "up/../x")},
            "p",
            "p/q/a.yaml: a symbolic link that leads out of the repository, to up/../x",
        ),
        ({"m/A.yaml": "1", "m/a.yaml": "2"}, "m", "m/a.yaml: differs from m/A.yaml in case or accents only"),
        (
            {"m/Sub/a.yaml": "1", "m/sub/b.yaml": "2"},
            "m",
            "m/sub/b.yaml: differs from m/Sub/a.yaml in case or accents only",
        ),
        ({"m/é.yaml": "1", "m/e\u0301.yaml": "2"}, "m", "in case or accents only"),
        (
            {"m/rows.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"},
            "m",
            "m/rows.csv: a pointer of Git LFS",
        ),
        ({"m/a.yaml": (LINK, "x" * 5000)}, "m", "m/a.yaml: a link of 5,000 bytes"),
    ],
)
async def test_what_must_not_be_used_is_refused_by_name(
    repository: Repository, source: Maker, files: dict[str | bytes, str | bytes | tuple[str, str]], path: str, said: str
) -> None:
    commit = repository.commit(files)
    error = await refusal(source(path=path))
    assert said in str(error)
    assert str(error).startswith(f"main at {commit[:12]}: ")
    assert error.commit == commit


async def test_elsewhere_in_the_repository_it_does_no_harm(repository: Repository, source: Maker) -> None:
    repository.commit(
        {
            "m/a.yaml": "1",
            "m/b.yaml": (LINK, "../shared/b.yaml"),
            "m/dangling": (LINK, "nothing"),
            "shared/b.yaml": "2",
            "docs/passwd": (LINK, "/etc/passwd"),
            "vendor": (MODULE, "1" * 40),
            "src/A": "1",
            "src/a": "2",
            "big.bin": "version https://git-lfs.github.com/spec/v1\n",
        }
    )
    found = await source(path="m").fetch()
    assert Path(found.path, "b.yaml").read_text() == "2"
    assert not Path(found.root, "docs/passwd").is_symlink()
    await source(path="m").keep(found.revision)
    assert await source(path="m").kept()  # links that were left out are not missing


async def test_weird_names_are_only_names(repository: Repository, source: Maker) -> None:
    names = [
        b"new\nline.yaml",
        b"\xff\xfe.yaml",
        b"-rf",
        b"a\\b.yaml",
        b'quo"te.yaml',
        b"\x1b[31m.yaml",
        b"sp ace/ .yaml",
    ]
    repository.commit(dict.fromkeys(names, "x"))
    found = await source().fetch()
    assert set(contents(found)) == {name.decode("utf-8", "backslashreplace") for name in names}
    await source().keep(found.revision)
    assert await source().kept()


@pytest.mark.parametrize("name", ["..", ".", ".git", ".GIT"])
async def test_a_tree_made_by_hand_leads_nowhere(
    repository: Repository, source: Maker, tmp_path: Path, name: str
) -> None:
    """Git itself does not write such a tree; whoever attacks does."""
    blob = repository.git("hash-object", "-w", "--stdin", input=b"evil")
    inner = b"100644 config\0" + bytes.fromhex(blob)
    tree = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", input=inner)
    outer = b"40000 " + name.encode() + b"\0" + bytes.fromhex(tree)
    top = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", input=outer)
    commit = repository.git("commit-tree", "-m", "evil", top)
    repository.git("update-ref", "refs/heads/main", commit)
    assert f"{name}/config: no name that a file may have" in str(await refusal(source()))
    assert not list((tmp_path / "state").rglob("config"))


async def test_attributes_of_the_repository_change_no_file(repository: Repository, source: Maker) -> None:
    files: dict[str | bytes, str | bytes | tuple[str, str]] = {
        ".gitattributes": "*.yaml text eol=crlf export-subst filter=evil\nsecret.yaml export-ignore\n",
        "a.yaml": "$Format:%H$\n",
        "secret.yaml": "1\n",
    }
    repository.commit(files)
    assert contents(await source().fetch()) == files


async def test_size_limits_name_the_numbers_and_the_largest_file(repository: Repository, source: Maker) -> None:
    commit = repository.commit({"a.yaml": "1", "data/rows.csv": "\0" * (2 << 20)})
    assert str(await refusal(source(limits=Limits(bytes=1 << 20)))) == (
        f"main at {commit[:12]}: 2.0 MiB in 2 files, and at most 1.0 MiB are fetched (--git-max-size); "
        "the largest is data/rows.csv (2.0 MiB)"
    )
    assert "2 files, and at most 1 are fetched (--git-max-files)" in str(await refusal(source(limits=Limits(files=1))))


async def test_a_huge_download_leaves_nothing(repository: Repository, source: Maker, tmp_path: Path) -> None:
    repository.git("config", "core.compression", "0")
    repository.commit({"noise.bin": os.urandom(4 << 20)})
    error = await refusal(source(limits=Limits(bytes=1 << 20)))
    assert str(error).endswith(": more than 1.0 MiB to download (--git-max-size)")
    assert error.commit
    assert sum(path.lstat().st_size for path in (tmp_path / "state").rglob("*")) < 1 << 20


async def test_a_refused_commit_is_not_downloaded_again_but_judged_anew_under_other_conditions(
    repository: Repository, source: Maker
) -> None:
    repository.commit({"a.yaml": (LINK, "/etc/passwd")})
    follows = source()
    first = await refusal(follows)
    objects = repository.folder / "objects"
    objects.rename(repository.folder / "elsewhere")  # refs can be read, and nothing more
    objects.mkdir()
    second = await refusal(follows)
    assert (str(first), first.commit) == (str(second), second.commit)
    (repository.folder / "objects").rmdir()
    (repository.folder / "elsewhere").rename(objects)
    repository.commit({"a.yaml": "good"})
    assert contents(await follows.fetch()) == {"a.yaml": "good"}


async def test_a_known_commit_costs_one_question(repository: Repository, source: Maker) -> None:
    repository.commit({"a.yaml": "1"})
    follows = source()
    await follows.fetch()
    objects = repository.folder / "objects"
    objects.rename(repository.folder / "elsewhere")
    objects.mkdir()
    assert contents(await follows.fetch()) == {"a.yaml": "1"}
    assert contents(await source().fetch()) == {"a.yaml": "1"}  # after a restart too


async def test_an_answer_that_is_too_long_is_not_waited_for(repository: Repository, source: Maker) -> None:
    """More than the pipe and its buffers hold is left unread when git is stopped."""
    repository.commit({f"{number:0200}.yaml": "" for number in range(2000)})
    assert "more than 1 files are not fetched (--git-max-files)" in str(await refusal(source(limits=Limits(files=1))))


async def test_a_full_disk_is_told_and_passes(repository: Repository, source: Maker, tmp_path: Path) -> None:
    """A file where a folder has to be stands for any refusal of the file system."""
    repository.commit({"a.yaml": "1"})
    (tmp_path / "state").write_text("in the way")
    error = await refusal(source())
    assert (error.commit, "Not a directory" in str(error)) == ("", True)
    (tmp_path / "state").unlink()
    assert contents(await source().fetch()) == {"a.yaml": "1"}


async def test_git_that_is_not_installed_is_named(repository: Repository, source: Maker) -> None:
    error = await refusal(source(environment={"PATH": "/nonexistent"}))
    assert str(error) == "the program git is not installed, or not in PATH"


async def test_settings_of_the_user_and_hooks_do_nothing(repository: Repository, source: Maker, tmp_path: Path) -> None:
    repository.commit({"a.yaml": "1"})
    home = tmp_path / "home"
    hooks = home / "hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[url "file:///nonexistent/"]\n\tinsteadOf = {repository.url}\n[core]\n\thooksPath = {hooks}\n'
    )
    environment = {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_DIR": "/nonexistent",
        "GIT_CONFIG_PARAMETERS": "'core.hooksPath=/x'",
        "GIT_EXEC_PATH": "/nonexistent",
    }
    assert contents(await source(environment=environment).fetch()) == {"a.yaml": "1"}
    assert not (tmp_path / "ran").exists()


async def test_text_of_a_commit_cannot_draw_on_a_terminal(repository: Repository, source: Maker) -> None:
    repository.commit({"a.yaml": "1"}, "\x1b[2Jred\x07 \u202eevil " + "x" * 500, author="Ev\x1bil")
    revision = (await source().fetch()).revision
    assert revision.subject.startswith("[2Jred evil xxx")
    assert (len(revision.subject), revision.author) == (200, "Ev il")


async def test_a_commit_from_the_end_of_time_is_only_odd(repository: Repository, source: Maker) -> None:
    repository.clock = 1 << 62
    repository.commit({"a.yaml": "1"})
    assert (await source().fetch()).revision.at == ""
    repository.clock = 1_767_225_600
    repository.commit({"a.yaml": "2"})
    assert "could not be told" in (await source().fetch()).revision.note


async def test_a_repository_with_long_names_is_read(tmp_path: Path, source: Maker) -> None:
    """Git's SHA-256 repositories."""
    place = tmp_path / "long.git"
    subprocess.run(["git", "init", "-q", "--bare", "--object-format=sha256", "-b", "main", str(place)], check=True)
    long = Repository.__new__(Repository)
    long.folder, long.url, long.clock = place, place.as_uri(), 1_767_225_600
    long.commit({"a.yaml": "1"})
    follows = source(url=long.url)
    await follows.keep((await follows.fetch()).revision)
    commit = long.commit({"a.yaml": "2"})
    found = await follows.fetch()
    assert (found.revision.id, len(commit), found.revision.note) == (commit, 64, "")
    assert await source(url=long.url).kept()


async def test_what_is_kept_is_plain_to_read(repository: Repository, source: Maker, tmp_path: Path) -> None:
    commit = repository.commit({"a.yaml": "1"}, "First")
    follows = source()
    await follows.keep((await follows.fetch()).revision)
    folder = next((tmp_path / "state/sources").iterdir())
    about = json.loads((folder / "checkouts" / commit / "about.json").read_text())
    assert about["revision"]["subject"] == "First"
    assert (folder / "kept").read_text().strip() == commit


def test_a_file_of_which_git_gives_less_than_it_has_is_not_written_short(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"job\.yaml: git gives 3 bytes too few"):
        tree._write_file(tree.Item("100644", "0" * 40, 5, b"job.yaml"), io.BytesIO(b"ab"), tmp_path / "r", "")
