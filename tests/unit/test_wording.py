"""How numbers and names read in what a plan says."""

import pytest

from reconciler.diff import FieldChange
from reconciler.lifecycle.wording import counted, few, placed, unsaid, verb_for
from reconciler.model.field import ChangeKind


@pytest.mark.parametrize(
    ("count", "verb", "expected"),
    [
        (0, "", "0 nodes"),
        (1, "", "1 node"),
        (2, "", "2 nodes"),
        (1, "owes", "1 node owes"),
        (2, "owes", "2 nodes owe"),
        (1, "has", "1 node has"),
        (3, "has", "3 nodes have"),
    ],
)
def test_one_thing_and_many(count: int, verb: str, expected: str) -> None:
    assert counted(count, "node", verb) == expected


@pytest.mark.parametrize(
    ("verb", "many"), [("is", "are"), ("was", "were"), ("has", "have"), ("goes", "go"), ("runs", "run")]
)
def test_forms_of_a_verb(verb: str, many: str) -> None:
    assert [verb_for(1, verb), verb_for(2, verb)] == [verb, many]


@pytest.mark.parametrize(
    ("names", "expected"),
    [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("abcdefg", "a, b, c and 4 more")],
)
def test_the_first_of_many_names(names: str, expected: str) -> None:
    assert few(list(names)) == expected


def test_what_no_line_speaks_of() -> None:
    assert unsaid(["a"]) == "a differs and no line of the manifest speaks of it"
    assert unsaid(["a", "b"]) == "a and b differ and no line of the manifest speaks of them"


def test_a_field_is_named_by_the_property_that_holds_it() -> None:
    paths = [("b", "x"), ("a",), ("b", "y", "z")]
    changes = [FieldChange(path, 1, 2, ChangeKind.FIXED, implicit=False) for path in paths]
    assert placed(changes) == "a, x, y.z of b"
    assert placed(changes[:1]) == "x of b"
