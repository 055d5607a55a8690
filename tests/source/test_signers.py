"""Revisions that have to be signed: real keys, real signatures, checked by git, ssh-keygen and gpg."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from source.conftest import ENVIRONMENT, Maker, Repository

from reconciler.errors import SourceError
from reconciler.source import signers

needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None, reason="needs gpg: apt-get install gnupg")
pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: apt-get install openssh-client"
)


def ssh_key(folder: Path, name: str) -> tuple[Path, str]:
    """A key, and the line that lets its owner sign."""
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
    kind, text, _ = key.with_suffix(".pub").read_text().split()
    return key, f"{name}@example.com {kind} {text}\n"


@dataclass
class Signing:
    """A repository whose commits can be signed: `main` moves to a commit with the tree of the last one."""

    repository: Repository

    def ssh(self, key: Path) -> str:
        return self._signed("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}.pub")

    def gpg(self, home: Path) -> str:
        return self._signed("-c", "user.signingKey=ada@example.com", GNUPGHOME=str(home))

    def _signed(self, *settings: str, **environment: str) -> str:
        parent = self.repository.git("rev-parse", "main")
        made = self.repository.git(
            *settings, "commit-tree", "-S", "-m", "signed", "-p", parent, "main^{tree}", **environment
        )
        self.repository.git("update-ref", "refs/heads/main", made)
        return made


@pytest.fixture
def signing(repository: Repository) -> Signing:
    repository.commit({"a.yaml": "1"})
    return Signing(repository)


async def refusal(source: Maker, verify: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await source(verify=str(verify)).fetch()
    return caught.value


async def test_a_commit_of_an_allowed_signer_is_taken(signing: Signing, source: Maker, tmp_path: Path) -> None:
    key, line = ssh_key(tmp_path, "ada")
    (tmp_path / "signers").write_text(f"# who may\n\n{line}")
    commit = signing.ssh(key)
    assert (await source(verify=str(tmp_path / "signers")).fetch()).revision.id == commit


async def test_all_else_is_refused_with_the_commit_and_why(signing: Signing, source: Maker, tmp_path: Path) -> None:
    key, line = ssh_key(tmp_path, "ada")
    stranger, _ = ssh_key(tmp_path, "mallory")
    verify = tmp_path / "signers"
    verify.write_text(line)
    plain = signing.repository.git("rev-parse", "main")
    assert str(await refusal(source, verify)) == f"commit {plain[:12]} is not signed"

    unknown = signing.ssh(stranger)
    print_ = subprocess.run(
        ["ssh-keygen", "-lf", str(stranger)], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    error = await refusal(source, verify)
    assert str(error) == f"commit {unknown[:12]} is signed with the key {print_}, which is not in {verify}"
    assert error.commit == unknown

    good = signing.ssh(key)
    raw = signing.repository.git("cat-file", "commit", good) + "\n"
    forged = signing.repository.git(
        "hash-object", "-w", "-t", "commit", "--stdin", input=raw.replace("\n\nsigned", "\n\nforged").encode()
    )
    signing.repository.git("update-ref", "refs/heads/main", forged)
    assert str(await refusal(source, verify)).startswith(f"commit {forged[:12]} carries a bad signature")


async def test_who_is_taken_off_the_list_is_trusted_no_more(signing: Signing, source: Maker, tmp_path: Path) -> None:
    (ada, of_ada), (_, of_bob) = ssh_key(tmp_path, "ada"), ssh_key(tmp_path, "bob")
    verify = tmp_path / "signers"
    verify.write_text(of_ada + of_bob)
    signing.ssh(ada)
    follows = source(verify=str(verify))
    found = await follows.fetch()
    await follows.keep(found.revision)
    verify.write_text(of_bob)
    with pytest.raises(SourceError, match="which is not in"):
        await follows.fetch()
    assert await follows.kept() is None
    verify.write_text(of_ada)
    assert (await follows.fetch()).revision == found.revision
    assert await follows.kept()


async def test_a_checkout_from_before_signatures_were_asked_for_is_checked(
    signing: Signing, source: Maker, tmp_path: Path
) -> None:
    _, line = ssh_key(tmp_path, "ada")
    (tmp_path / "signers").write_text(line)
    await source().fetch()
    assert str(await refusal(source, tmp_path / "signers")).endswith("is not signed")


@needs_gpg
async def test_keys_of_openpgp_may_sign_too(signing: Signing, source: Maker, tmp_path: Path) -> None:
    home, verify = tmp_path / "g", tmp_path / "signers"
    home.mkdir(mode=0o700)
    verify.mkdir()
    environment = ENVIRONMENT | {"GNUPGHOME": str(home)}
    command = [
        "gpg",
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-generate-key",
        "ada@example.com",
        "ed25519",
        "sign",
    ]
    try:
        subprocess.run(command, env=environment, check=True, capture_output=True)
        commit = signing.gpg(home)
        key, line = ssh_key(tmp_path, "bob")
        (verify / "bob").write_text(line)
        assert "is signed with a key that cannot be checked" in str(await refusal(source, verify))
        public = subprocess.run(["gpg", "--armor", "--export"], env=environment, check=True, capture_output=True).stdout
        (verify / "ada.asc").write_bytes(public)
        (verify / "..data").write_text("what Kubernetes puts beside the files of a ConfigMap")
        assert (await source(verify=str(verify)).fetch()).revision.id == commit
        commit = signing.ssh(key)
        assert (await source(verify=str(verify)).fetch()).revision.id == commit  # in a folder, both kinds
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=True)


@needs_gpg
async def test_a_key_that_gpg_does_not_read_is_told(signing: Signing, source: Maker, tmp_path: Path) -> None:
    (tmp_path / "keys.asc").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nnonsense\n")
    error = await refusal(source, tmp_path / "keys.asc")
    assert f"--git-verify: gpg does not read {tmp_path}/keys.asc: gpg: " in str(error)
    assert error.commit == ""


async def test_a_machine_without_gpg_is_said_to_have_none(tmp_path: Path) -> None:
    listed = signers.Signers("keys.asc", keys=(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n",))
    with pytest.raises(SourceError, match=r"--git-verify: keys\.asc holds a key of OpenPGP, and gpg is not installed"):
        await signers._import(listed, tmp_path / "ring", {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "names no key: no revision could be trusted"),
        ("# nobody\n", "names no key: no revision could be trusted"),
        ("\nssh-ed25519 AAAA ada\n", "signers:2: expected `WHO KEY-TYPE KEY`, found 'ssh-ed25519 AAAA ada'"),
        ("ada@example.com\n", "signers:1: expected `WHO KEY-TYPE KEY`, found 'ada@example.com'"),
        (b"\xff\xfe", "neither UTF-8 text nor a public key of OpenPGP"),
        (None, "signers: No such file or directory"),
    ],
)
def test_a_list_of_signers_that_lets_nobody_sign_is_an_error(
    tmp_path: Path, content: str | bytes | None, said: str
) -> None:
    path = tmp_path / "signers"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError) as caught:
        signers.read(str(path))
    assert str(caught.value).startswith("--git-verify: ")
    assert said in str(caught.value)


def test_options_of_allowed_signers_are_left_to_ssh(tmp_path: Path) -> None:
    line = 'ada@example.com,bob@example.com namespaces="git",valid-before="20300101" sk-ssh-ed25519@openssh.com AAAA\n'
    (tmp_path / "signers").write_text(line)
    assert signers.read(str(tmp_path / "signers")).lines == line.strip().encode()
