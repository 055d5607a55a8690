"""Consents that stand in manifests: what is read, what is refused, and where."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from reconciler.model.consent import Consent
from reconciler.model.desired import Desired

Loaded: TypeAlias = Callable[[str], Desired]
Findings: TypeAlias = Callable[[str], list[str]]

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata:\n  name: s\n  annotations:\n    %s\n"
JOB = (
    "apiVersion: reconciler/v1\nkind: Job\nmetadata:\n  name: nightly\n  annotations:\n    %s\n"
    "spec: {poolInfo: {poolId: p}}\n"
)
T = "2030-01-31T18:00:00Z"


def told(consent: Consent) -> tuple[str, str, int, str, str, int]:
    return consent.flag, consent.address, consent.count, consent.born, consent.until, consent.source.line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STACK % f"reconciler/allow-deletes: 12 until {T}", [("allow-deletes", "", 12, "", T, 6)]),
        (
            STACK % "reconciler/allow-release-loss: job/a, job/b until 2030-01-31T20:00:00.5+02:00",
            [
                ("allow-release-loss", "job/a", 0, "", "2030-01-31T18:00:00.5Z", 6),
                ("allow-release-loss", "job/b", 0, "", "2030-01-31T18:00:00.5Z", 6),
            ],
        ),
        (JOB % f"reconciler/allow-task-loss: until {T}", [("allow-task-loss", "job/nightly", 0, "", T, 6)]),
        (JOB % f"reconciler/allow-new-run: job/Nightly until {T}", [("allow-new-run", "job/Nightly", 0, "", T, 6)]),
        (
            JOB % f"reconciler/replace: job/nightly@2030-01-30T06:00:00.1234567Z until {T}",
            [("replace", "job/nightly", 0, "2030-01-30T06:00:00.1234567Z", T, 6)],
        ),
        (JOB % "reconcilers/other: mine", []),
    ],
)
def test_a_consent_says_what_it_allows_and_until_when(
    loaded: Loaded, text: str, expected: list[tuple[str, str, int, str, str, int]]
) -> None:
    assert [told(consent) for consent in loaded(text).consents] == expected


SYNTAX = 'expected "WHAT until TIME", such as "job/nightly until 2030-01-31T18:00:00Z"'


@pytest.mark.parametrize(
    ("document", "flag", "value", "message"),
    [
        (STACK, "allow-deletes", "'12'", SYNTAX),
        (STACK, "allow-deletes", "12", "expected a string, found the number 12: quote it, '12'"),
        (STACK, "allow-task-loss", f"until {T}", SYNTAX),
        (
            STACK,
            "allow-deletes",
            "12 until tomorrow",
            "expected a time such as 2030-01-31T06:00:00Z, not 'tomorrow'",
        ),
        (
            STACK,
            "allow-deletes",
            f"job/a until {T}",
            'expected a whole number before until, such as "12 until 2030-01-31T18:00:00Z"',
        ),
        (
            JOB,
            "allow-deletes",
            f"1 until {T}",
            "expected reconciler/allow-deletes on the Stack: it counts the objects of all of it",
        ),
        (
            STACK,
            "allow-new-run",
            f"pool/a until {T}",
            "expected an address (job/NAME) before until, not 'pool/a'",
        ),
        (
            JOB,
            "allow-new-run",
            f"job/a until {T}",
            "expected job/nightly, which the annotation stands on, not job/a: what concerns others is the Stack's",
        ),
        (
            JOB,
            "replace",
            f"job/nightly until {T}",
            "expected job/nightly@ with the creation time of the one to be replaced, as the plan prints it",
        ),
        (
            STACK,
            "allow-task-loss",
            f"job/a@{T} until {T}",
            f"expected an address without a creation time, not 'job/a@{T}'",
        ),
    ],
)
def test_what_is_no_consent_is_refused_where_it_stands(
    findings: Findings, document: str, flag: str, value: str, message: str
) -> None:
    name = f"reconciler/{flag}"
    expected = f"6:{7 + len(name)}: metadata.annotations['{name}']: {message}"
    assert findings(document % f"{name}: {value}") == [expected]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "allow-delete",
            "expected one of reconciler/allow-deletes, reconciler/allow-new-run, reconciler/allow-release-failure, "
            "reconciler/allow-release-loss, reconciler/allow-task-loss, reconciler/replace, found "
            "'reconciler/allow-delete' (did you mean 'reconciler/allow-deletes'?)",
        ),
        (
            "dangerous-force",
            "expected no such consent in a manifest: --dangerous-force is given on the command line, by a person who "
            "looked at the object",
        ),
    ],
)
def test_what_no_annotation_stands_for_is_refused_by_name(findings: Findings, flag: str, message: str) -> None:
    name = f"reconciler/{flag}"
    assert findings(STACK % f"{name}: job/a until {T}") == [f"6:5: metadata.annotations['{name}']: {message}"]
