"""Paths: files, folders, standard input, links, and what cannot be read."""

import io
import os
import sys
from pathlib import Path

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import load
from reconciler.model.desired import Desired, Stack


def pool(name: str) -> str:
    return f"""\
apiVersion: reconciler/v1
kind: Pool
metadata: {{name: {name}}}
spec:
  vmSize: a
  virtualMachineConfiguration: {{imageReference: {{virtualMachineImageId: i}}, nodeAgentSKUId: n}}
"""


def read(*paths: str) -> Desired:
    return load(paths, variables={}, environment={})


def found(*paths: str) -> list[str]:
    with pytest.raises(ManifestErrors) as caught:
        read(*paths)
    return [str(finding) for finding in caught.value.findings]


def sources(desired: Desired) -> dict[str, str]:
    return {wanted.name: str(wanted.source) for wanted in desired.objects.values()}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_folder_is_walked_and_hidden_and_other_files_are_passed_over(folder: Path) -> None:
    write(folder / "m/b.yaml", pool("b"))
    write(folder / "m/a/c.yml", pool("c"))
    for passed_over in ("m/.hidden.yaml", "m/.git/d.yaml", "m/notes.txt", "m/e.yaml.bak"):
        write(folder / passed_over, "not: a manifest")
    assert sources(read("m")) == {"b": "m/b.yaml:3", "c": "m/a/c.yml:3"}


def test_a_file_reached_twice_is_read_once(folder: Path) -> None:
    write(folder / "m/a.yaml", pool("a"))
    (folder / "m/b.yaml").symlink_to("a.yaml")
    (folder / "m/again").symlink_to(".")
    assert sources(read("m", "m/a.yaml", str(folder / "m"))) == {"a": "m/a.yaml:3"}


def test_several_documents_to_a_file(folder: Path) -> None:
    write(folder / "a.yaml", f"{pool('a')}---\n{pool('b')}...\n---\n{pool('c')}")
    assert sources(read("a.yaml")) == {"a": "a.yaml:3", "b": "a.yaml:10", "c": "a.yaml:18"}


def test_paths_are_shown_as_given(folder: Path) -> None:
    write(folder / "m/a.yaml", pool("a"))
    assert sources(read("./m/a.yaml")) == {"a": "./m/a.yaml:3"}
    assert sources(read("m/../m/")) == {"a": "m/../m/a.yaml:3"}


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pool("a").encode())))
    desired = read("-", "-")
    assert sources(desired) == {"a": "<stdin>:3"}
    assert desired.stack == Stack("default", prunes=False)


def test_a_link_that_leads_outside_is_refused(folder: Path) -> None:
    write(folder / "outside/a.yaml", pool("a"))
    write(folder / "m/b.yaml", pool("b"))
    (folder / "m/file.yaml").symlink_to("../outside/a.yaml")
    (folder / "m/folder").symlink_to("../outside")
    (folder / "m/notes.txt").symlink_to("../outside/a.yaml")
    assert found("m") == [
        "m/file.yaml: expected a link that stays inside m/, found one leading outside",
        "m/folder: expected a link that stays inside m/, found one leading outside",
    ]


def test_a_link_given_by_the_user_is_followed(folder: Path) -> None:
    write(folder / "outside/a.yaml", pool("a"))
    (folder / "m").symlink_to("outside")
    assert sources(read("m")) == {"a": "m/a.yaml:3"}


def test_what_cannot_be_read_is_found_for_every_path(folder: Path) -> None:
    write(folder / "m/a.yaml", pool("a"))
    (folder / "m/broken.yaml").symlink_to("nowhere")
    (folder / "m/loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(folder / "m/fifo.yaml")
    assert found("none", "m", "m/a.yaml/b", "nul\0") == [
        "m/a.yaml/b: expected a file or folder, found none",
        "m/broken.yaml: expected a file, found a broken link or a device",
        "m/fifo.yaml: expected a file, found a broken link or a device",
        "m/loop.yaml: expected a file, found a broken link or a device",
        "none: expected a file or folder, found none",
        "nul\\x00: expected a file or folder, found none",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_found(folder: Path) -> None:
    write(folder / "a.yaml", pool("a"))
    (folder / "a.yaml").chmod(0)
    assert found("a.yaml") == ["a.yaml: expected a readable file or folder, found: Permission denied"]


def test_a_path_with_strange_bytes_can_be_shown(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\x1b.yaml")).write_text("")
    assert found(".") == ["\\xff\\x1b.yaml: expected at least one document, found an empty file"]


def test_a_folder_without_manifests_is_no_mistake(folder: Path) -> None:
    assert read(".") == Desired(Stack("stack", prunes=True), {})


def test_mistakes_of_all_files_come_at_once(folder: Path) -> None:
    write(folder / "m/b.yaml", "kind: Pol\n")
    write(folder / "m/a.yaml", "")
    write(folder / "c.yaml", "a: b: c\n")
    assert [text.partition(": ")[0] for text in found("c.yaml", "m", "none")] == [
        "c.yaml:1:5",
        "m/a.yaml",
        "m/b.yaml:1:7",
        "none",
    ]
