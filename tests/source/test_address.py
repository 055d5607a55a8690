"""What may stand after --git, --branch and --path."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import UsageError
from reconciler.source import address
from reconciler.source.git import GitSource
from reconciler.source.program import Access


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("https://github.com/example/manifests.git", "https://github.com/example/manifests.git", "manifests"),
        ("HTTPS://Example.com:8443/a/b/", "https://example.com:8443/a/b/", "b"),
        (
            "https://org@dev.azure.com/org/my%20project/_git/repo",
            "https://dev.azure.com/org/my%20project/_git/repo",
            "repo",
        ),
        ("https://ada:p%40ss@example.com/r.git", "https://example.com/r.git", "r"),
        ("ssh://git@example.com:22/~/r.git", "ssh://git@example.com:22/~/r.git", "r"),
        ("git@example.com:team/r.git", "git@example.com:team/r.git", "r"),
        ("https://[::1]:8443/r", "https://[::1]:8443/r", "r"),
        ("file:///srv/r.git", "file:///srv/r.git", "r"),
        ("file://localhost/srv/a%20b/.git", "file:///srv/a%20b/.git", "a-b"),
        ("/srv/r/.git", "file:///srv/r/.git", "r"),
        ("https://example.com/", "https://example.com/", "repository"),
        ("https://example.com/..", "https://example.com/..", "repository"),
    ],
)
def test_addresses(text: str, url: str, name: str) -> None:
    found = address.parse(text)
    assert (found.url, found.name) == (url, name)


def test_a_password_is_taken_out_of_the_address_and_not_shown() -> None:
    found = address.parse("https://ada:p%40ss@example.com/r.git")
    assert (found.user, found.password) == ("ada", "p@ss")
    assert "p@ss" not in repr(found)
    assert found.door == "https://example.com"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("--upload-pack=touch /tmp/x", "empty, or has spaces"),
        ("-oProxyCommand=x:y", "empty, or has spaces"),
        ("ssh://-oProxyCommand=x/r", "begins with a dash"),
        ("ssh://-l@host/r", "begins with a dash"),
        ("git@-oProxyCommand=x:r", "begins with a dash"),
        ("ext::sh -c x", "has spaces"),
        ("ext::sh", "the transport 'ext'"),
        ("fd::7", "the transport 'fd'"),
        ("ftp://example.com/r", "found the scheme 'ftp'"),
        ("https:///r", "expected a host"),
        ("https://example.com:x/r", "a host or port that is none"),
        ("https://example.com/r?token=secret", "expected no query"),
        ("https://example.com/r\nhost=evil", "controls"),
        ("https://a%0aprotocol:b@example.com/r", "control characters in the user or password"),
        ("ssh://git:secret@example.com/r", "ssh takes no password"),
        ("file://server/share", "a file on this machine"),
        ("/srv/work tree", "write file:///work%20tree"),
    ],
)
def test_what_is_no_repository_is_refused_without_showing_secrets(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        address.parse(text)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["main", "refs/heads/main", "feature/x-1", "rélease"])
def test_branches(text: str) -> None:
    assert address.branch_name(text) == text.removeprefix("refs/heads/")


@pytest.mark.parametrize(
    "text", ["", "-x", "a b", "a..b", "a*", "a:b", "x.lock", "a//b", "/a", "a/", "a\\b", "@{-1}", "a/.b", "\n"]
)
def test_what_is_no_branch(text: str) -> None:
    with pytest.raises(UsageError, match="--branch: expected the name of a branch"):
        address.branch_name(text)


@pytest.mark.parametrize(("text", "path"), [("", ""), (".", ""), ("./a//b/", "a/b"), ("a/..b", "a/..b")])
def test_paths(text: str, path: str) -> None:
    assert address.inner_path(text) == path


@pytest.mark.parametrize("text", ["/etc", "..", "a/../../b", "a/..", "a\0b"])
def test_paths_that_lead_outside(text: str) -> None:
    with pytest.raises(UsageError, match="--path: expected a folder or file inside the repository"):
        address.inner_path(text)


HTTPS, SSH = "https://example.com/r", "git@example.com:r"


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("http://example.com/r", {}, "http is not encrypted, so anyone between here and example.com"),
        ("git://example.com/r", {}, "git is not encrypted"),
        ("http://a:b@example.com/r", {"verify": "signers"}, "a password would cross the network unencrypted"),
        (
            "http://example.com/r",
            {"verify": "s", "access": Access(token_file="t")},
            "would cross the network unencrypted",
        ),
        (HTTPS, {"access": Access(token_file="t", token_variable="T")}, "not both"),
        (SSH, {"access": Access(token_file="t")}, "goes with an https URL, not with ssh"),
        ("https://a:b@example.com/r", {"access": Access(token_file="t")}, "the URL of the repository holds a password"),
        (
            HTTPS,
            {"access": Access(ssh_key="k")},
            "--git-ssh-key and --git-known-hosts go with an ssh URL, not with https",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_sent(
    url: str, more: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        GitSource(url, "main", "", tmp_path, {}, **more)
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_signed_commits_make_an_unencrypted_address_good_enough(tmp_path: Path) -> None:
    GitSource("http://example.com/r", "main", "", tmp_path, {}, verify="signers")
