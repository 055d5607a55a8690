"""Files of nodes while a task changes them: whatever it does, no request reaches what lies outside."""

from __future__ import annotations

import os

import pytest

from reconciler.emulator import files
from reconciler.emulator.errors import ServiceError


@pytest.fixture
def outside(tmp_path):
    made = tmp_path.resolve() / "outside"
    made.mkdir()
    (made / "secret.txt").write_text("secret")
    return made


@pytest.fixture
def root(tmp_path):
    made = tmp_path.resolve() / "nodes" / "task"
    (made / "wd" / "sub").mkdir(parents=True)
    (made / "wd" / "sub" / "secret.txt").write_text("mine")
    return made


def exchange(path, target):
    """What a task can do between two looks at its directory."""
    path.rename(path.with_name("away"))
    path.symlink_to(target)


def is_refused(work, *arguments, **keywords):
    with pytest.raises(ServiceError) as caught:
        work(*arguments, **keywords)
    return caught.value.code == "FileNotFound"


@pytest.mark.parametrize("name", ["wd/sub", "wd", ""])
def test_a_folder_exchanged_for_a_link_before_reading_gives_nothing(root, outside, name):
    entry = files.find(root, "wd/sub/secret.txt")
    (outside / "sub").mkdir()
    (outside / "sub" / "secret.txt").write_text("secret")
    (outside / "wd").mkdir()
    (outside / "wd" / "sub").symlink_to(outside)
    exchange(root / name, outside)
    assert is_refused(files.open_inside, entry)


@pytest.mark.parametrize(("name", "recursive"), [("wd/sub", False), ("wd", False), ("wd/sub", True), ("", True)])
def test_a_folder_exchanged_for_a_link_before_deleting_spares_what_it_leads_to(root, outside, name, recursive):
    for target in ("sub", "wd/sub"):
        (outside / target).mkdir(parents=True)
        (outside / target / "secret.txt").write_text("secret")
    entry = files.find(root, "wd/sub" if recursive else "wd/sub/secret.txt")
    exchange(root / name, outside)
    if name == "wd/sub" and recursive:
        files.delete(entry, recursive=True, refusal="FileNotFound")  # the link itself goes
    else:
        assert is_refused(files.delete, entry, recursive=recursive, refusal="FileNotFound")
    assert [path.read_text() for path in sorted(outside.rglob("secret.txt"))] == ["secret"] * 3


def test_a_file_exchanged_for_a_pipe_does_not_hold_the_reader_up(root):
    entry = files.find(root, "wd/sub/secret.txt")
    (root / "wd" / "sub" / "secret.txt").unlink()
    os.mkfifo(root / "wd" / "sub" / "secret.txt")
    assert is_refused(files.open_inside, entry)


def test_a_directory_of_the_node_that_became_a_link_is_not_there(root, outside):
    exchange(root, outside)
    assert not files.is_directory(root)
    assert list(files.walk(root, recursive=True)) == []
    assert is_refused(files.find, root, "secret.txt")


def test_links_inside_are_followed_for_reading_and_removed_themselves(root):
    (root / "wd" / "link").symlink_to("sub/secret.txt")
    entry = files.find(root, "wd/link")
    with files.open_inside(entry) as file:
        assert file.read() == b"mine"
    files.delete(entry, recursive=False, refusal="x")
    assert sorted(path.name for path in (root / "wd").iterdir()) == ["sub"]
    assert (root / "wd" / "sub" / "secret.txt").exists()


def test_a_listing_leaves_out_what_leads_outside_or_to_what_runs_keep(root, outside):
    (root / ".control").mkdir()
    (root / ".control" / "pid").write_text("1")
    (root / "wd" / "out").symlink_to(outside)
    (root / "wd" / "hidden").symlink_to("../.control")
    (root / "wd" / "round").symlink_to(".")
    os.mkfifo(root / "wd" / "pipe")
    names = [entry.name for entry in files.walk(root, recursive=True)]
    assert names == ["wd", "wd/round", "wd/sub", "wd/sub/secret.txt"]
    assert is_refused(files.find, root, "wd/hidden/pid")
