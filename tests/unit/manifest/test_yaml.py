"""Broken or surprising YAML: each mistake has a place and plain words."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.manifest import files, nodes
from reconciler.manifest.scalar import plain
from reconciler.model.desired import Desired

Findings = Callable[..., list[str]]

POOL = """\
apiVersion: reconciler/v1
kind: Pool
metadata: {name: cpu}
spec:
  vmSize: a
  virtualMachineConfiguration:
    imageReference: {virtualMachineImageId: i}
    nodeAgentSKUId: n
"""

BROKEN = [
    ("", ["expected at least one document, found an empty file"]),
    ("# a comment\n", ["expected at least one document, found an empty file"]),
    ("---\n", ["2:1: expected a mapping, found an empty document"]),
    ("just text\n", ["1:1: expected a mapping, found 'just text'"]),
    ("- kind: Pool\n", ["1:1: expected a mapping, found a list"]),
    ("0770\n", ["1:1: expected a mapping, found the number 0770"]),
    ("a:\n\tb: 1\n", ["2:1: expected spaces, found a tab: YAML does not indent with tabs"]),
    ("a:\n  b: 1\n \tc: 2\n", ["3:2: expected spaces, found a tab: YAML does not indent with tabs"]),
    ("a: b: c\n", ["1:5: expected one 'key: value' to a line: quote text that has ': ', or indent"]),
    ("a: - b\n", ["1:4: expected the first '- ' of a list on a line of its own"]),
    ("a: @b\n", ["1:4: expected a value, found '@': text that begins with it needs quotes"]),
    ("a: 'b\n", ["2:1: expected a closing quote, found the end of the file"]),
    ("a: 'b\n--- \nc\n", ["2:1: expected a closing quote, found the end of the document"]),
    ("a: *b\n", ["1:4: expected an anchor (&name) before its alias (*name)"]),
    ("a: &x 1\nb: &x 2\n", ["2:4: expected each anchor (&name) once in a document, found it again"]),
    ("a: \x01\n", ["1:4: expected text, found the control character U+0001"]),
    ("a: b\nc: !e!x y\n", ["2:4: expected no tag ('!...'): quote text that begins with '!'"]),
]

BY_LIBYAML = [
    ("a:\n  b: 1\n c: 2\n", ["3:2: expected a key at the same column as the ones before it: the indentation is wrong"]),
    ("- a\nb: c\n", ["2:1: expected another '- ' at this column: the indentation is wrong"]),
    ("a: [1, 2\n", ["2:1: expected ',' or ']': a '[' is not closed"]),
    ("a: {b: c\n", ["2:1: expected ',' or '}': a '{' is not closed"]),
    ('a: "\\q"\n', ["1:5: expected an escape that YAML knows after '\\': single quotes keep it as it is"]),
    ("a:\n  b\nc\nd: e\n", ["4:1: expected 'key: value': a ':' is missing, or the indentation is wrong"]),
]

CONVERTED = [
    (
        "x: 1\nkind: Nothing\nx: 2\nx: 3\n",
        [
            "3:1: x: expected each key once, found 'x' again: first on line 1",
            "4:1: x: expected each key once, found 'x' again: first on line 1",
        ],
    ),
    ("kind: !secret x\n", ["1:7: kind: expected no tag, found '!secret'"]),
    ("kind: !!binary aGk=\n", ["1:7: kind: expected no tag, found '!!binary'"]),
    ("kind: !!int x\n", ["1:7: kind: expected no tag, found '!!int'"]),
    ("kind: !!set {Pool}\n", ["1:7: kind: expected no tag, found '!!set'"]),
    ("kind: !!python/name:os.getcwd x\n", ["1:7: kind: expected no tag, found '!!python/name:os.getcwd'"]),
    ("1: x\nkind: Nothing\n", ["1:1: expected text as a key, found the number 1: quote it, '1'"]),
    ("on: x\n", ["1:1: expected text as a key, found on, which YAML takes for true or false: quote it, 'on'"]),
    ("~: x\n", ["1:1: expected text as a key, found nothing"]),
    ("[a]: x\n", ["1:1: expected text as a key, found a list"]),
    ("{a: b}: x\n", ["1:1: expected text as a key, found a mapping"]),
    ("a: &a {b: c}\nd: {<<: *a}\n", ["2:5: d: expected no merge key ('<<'): write the lines out"]),
    ("a: &a [b, *a]\n", ["1:4: a[1]: expected an alias to something else, found one to a value that holds it"]),
    ("a: " + "[" * 200 + "\n", ["1:102: expected at most 100 levels of nesting, found more"]),
]  # fmt: skip
NO_KIND = "1:1: kind: expected a value for 'kind', found none (a manifest begins with apiVersion: reconciler/v1)"
NO_SUCH_KIND = "2:7: kind: expected one of Job, JobSchedule, Pool, Stack, found 'Nothing'"


@pytest.mark.parametrize(("text", "expected"), BROKEN + BY_LIBYAML)
def test_broken_yaml_is_told_in_plain_words(findings: Findings, text: str, expected: list[str]) -> None:
    assert findings(text) == expected


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_without_libyaml_the_words_are_the_same(
    findings: Findings, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
) -> None:
    monkeypatch.setattr(nodes, "LOADER", nodes.PureLoader)
    assert findings(text) == expected


@pytest.mark.parametrize("loader", [nodes.LOADER, nodes.PureLoader])
@pytest.mark.parametrize(("text", "expected"), CONVERTED)
def test_what_yaml_allows_and_a_manifest_does_not(
    findings: Findings, monkeypatch: pytest.MonkeyPatch, loader: Any, text: str, expected: list[str]
) -> None:
    monkeypatch.setattr(nodes, "LOADER", loader)
    assert [it for it in findings(text) if it not in (NO_KIND, NO_SUCH_KIND)] == expected


def test_aliases_cannot_explode(findings: Findings) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert findings("\n".join(levels)) == ["1:1: expected aliases that add at most 1,000,000 values, found more"]


def test_many_aliases_of_one_value_are_fine(loaded: Callable[..., Desired]) -> None:
    tasks = "".join(f"- {{id: t{n}, commandLine: x, environmentSettings: *e}}\n" for n in range(1000))
    first = "- {id: t, commandLine: x, environmentSettings: &e [{name: A, value: b}]}\n"
    job = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: j}\nspec: {poolInfo: {poolId: p}}\ntasks:\n"
    (wanted,) = loaded(job + first + tasks).objects.values()
    assert {str(task.body["environmentSettings"]) for task in wanted.tasks.values()} == {
        str([{"name": "A", "value": "b"}])
    }


def test_documents_before_broken_yaml_are_checked_too(findings: Findings) -> None:
    assert findings("kind: Pol\n---\na: b: c\n") == [
        "1:7: kind: expected one of Job, JobSchedule, Pool, Stack, found 'Pol' (did you mean 'Pool'?)",
        "3:5: expected one 'key: value' to a line: quote text that has ': ', or indent",
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"kind: Pool\na: \xff\n", ["2:4: expected UTF-8 text, found the byte 0xff: save it as UTF-8"]),
        ("kïnd: a\nbä: ".encode() + b"\xe9", ["2:5: expected UTF-8 text, found the byte 0xe9: save it as UTF-8"]),
        (b"\xef\xbb\xbfa: \xff\n", ["1:4: expected UTF-8 text, found the byte 0xff: save it as UTF-8"]),
        ("kind: Pool".encode("utf-16"), ["1:1: expected UTF-8 text, found UTF-16: save it as UTF-8"]),
    ],
)
def test_text_that_is_not_utf8_is_refused(findings: Findings, raw: bytes, expected: list[str]) -> None:
    assert findings(raw) == expected


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(loaded: Callable[..., Desired]) -> None:
    strange = b"\xef\xbb\xbf" + POOL.replace("\n", "\r\n").encode()
    assert loaded(strange) == loaded(POOL)


def test_a_byte_order_mark_takes_no_column(findings: Findings) -> None:
    assert findings("\ufeffkind: Pol") == findings("kind: Pol")


def test_a_file_too_big_is_refused(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.LARGEST == 64 * 1024 * 1024
    monkeypatch.setattr(files, "LARGEST", 1 << 20)
    assert findings(POOL) == []
    assert findings(POOL + "#" * (1 << 20)) == ["expected at most 1 MiB, found more"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("yes", True),
        ("OFF", False),
        ("y", "y"),
        ("0", 0),
        ("-12", -12),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b11", 3),
        ("0770", 504),
        ("089", "089"),
        ("0_", "0_"),
        ("1.5", 1.5),
        ("-.5e+2", -50.0),
        ("-.inf", float("-inf")),
        ("1e3", "1e3"),
        ("1:30", "1:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ("=", "="),
        ("-", "-"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_an_unquoted_scalar_means_what_yaml_says_but_for_dates_and_clock_times(text: str, value: object) -> None:
    assert (plain(text), type(plain(text))) == (value, type(value))
