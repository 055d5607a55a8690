"""What looks like a secret, and what the mark remembers of settings that are."""

import pytest

from reconciler.model.secrecy import is_telling, without_keys
from reconciler.observed import EVERY, MOST_PRINTS, Mark, prints_of


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "DB_PWD", "apiKey", "API_KEY", "GITHUB_PAT", "AZURE_STORAGE_CONNECTION_STRING", "SAS"),
        *("AWS_SECRET_ACCESS_KEY", "TOKEN", "Authorization", "PGPASSWORD", "MYSQL_CONNSTR", "CLIENT_SECRET_2"),
    ],
)
def test_names_that_tell_of_a_secret(name: str) -> None:
    assert is_telling(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "PWD", "HOME", "KEYBOARD", "MONKEY", "TOKENIZERS_PARALLELISM", "SECRET_NAME", "KEY_VAULT_NAME"),
        *("PASSWORD_FILE", "COMPASS", "AUTHOR", "SHARED_FILE", "SPINNER", "_", "X1"),
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not is_telling(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("curl 'https://a/c?sv=1&sig=abc&x=2'", "curl 'https://a/c?sv=1&sig=-&x=2'"),
        ("git clone https://me:word@host/x", "git clone https://me:-@host/x"),
        ("AccountName=a;AccountKey=b==;X=y", "AccountName=a;AccountKey=-;X=y"),
        ("echo $SIG", "echo $SIG"),
    ],
)
def test_parts_of_a_text_that_look_like_one(text: str, expected: str) -> None:
    assert without_keys(text, lambda _: "-") == expected


def test_a_mark_tells_settings_given_by_reference_from_others_and_says_no_name() -> None:
    mark = Mark.parse(str(Mark("s", hidden=prints_of({"COLOUR", "SHADE"}))))
    assert mark is not None
    assert [mark.hides(name) for name in ("COLOUR", "SHADE", "PLAIN")] == [True, True, False]
    assert "COLOUR" not in str(mark)
    assert not Mark("s").hides("COLOUR")


def test_a_mark_of_very_many_takes_every_setting_for_one() -> None:
    mark = Mark("s", hidden=prints_of({f"S{number}" for number in range(MOST_PRINTS + 1)}))
    assert mark.hidden == {EVERY}
    assert mark.hides("ANY")
    assert Mark.parse(str(mark)) == mark
