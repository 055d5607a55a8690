"""Signing in without a key: DefaultAzureCredential in real commands, against the emulator over TLS."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conftest import POOL, STACK, Bench, Ran
from e2e.identity import CLIENT, HEADER, RESOURCE, SECRET, Authority, Giver, ManagedIdentity, serving

from reconciler.emulator import Emulator, tokens


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(state=tmp_path_factory.mktemp("secure"), tls=True) as running:
        yield running


class Alone(Bench):
    """Commands in processes of their own: what a process trusts is settled when it starts."""

    def run(self, *arguments: str, stdin: str = "", timeout: float = 60, **environment: str) -> Ran:
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**self.environment, **environment},
            timeout=timeout,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def bench(secure: Emulator, tmp_path: Path) -> Bench:
    """Stack `s` with an empty pool, and no way to sign in."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    surroundings = {
        "PATH": "",  # neither az nor azd nor pwsh of this machine
        "HOME": str(tmp_path),
        "AZURE_BATCH_ENDPOINT": secure.endpoint,
        "SSL_CERT_FILE": str(secure.ca),
        "AZURE_TOKEN_CREDENTIALS": "prod",  # nor its users
    }
    made = Alone(folder, secure, surroundings)
    made.write(stack=STACK, pool=POOL.replace("targetDedicatedNodes: 2", "targetDedicatedNodes: 0"))
    return made


def test_a_managed_identity_plans_and_applies(bench: Bench, secure: Emulator) -> None:
    with serving(ManagedIdentity(secure.token())) as identity:
        bench.environment |= {"IDENTITY_ENDPOINT": f"{identity.endpoint}/msi/token", "IDENTITY_HEADER": HEADER}
        planned = bench.run("plan", str(bench.folder), "--detailed-exitcode")
        assert planned.code == 2, planned.err
        applied = bench.apply()
        assert applied.code == 0, applied.err
        assert [row["path"] for row in secure.requests() if row["method"] == "POST"] == ["/pools"]
    asked = {(it.method, it.path, it.values["resource"], it.values["api-version"]) for it in identity.asked}
    assert asked == {("GET", "/msi/token", RESOURCE, "2019-08-01")}
    shown = planned.out + planned.err + applied.out + applied.err
    assert identity.token not in shown
    assert HEADER not in shown


def principal(authority: Giver, tenant: str) -> dict[str, str]:
    """The variables of a service principal."""
    return {
        "AZURE_AUTHORITY_HOST": authority.endpoint,
        "AZURE_TENANT_ID": tenant,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": SECRET,
    }


def test_a_service_principal_signs_in_with_its_secret(bench: Bench, secure: Emulator) -> None:
    tenant = secure.running.tenant
    with serving(Authority(secure.token()), secure.state / "tls") as authority:
        bench.environment |= principal(authority, tenant)
        planned = bench.run("plan", str(bench.folder))
        assert planned.code == 0, planned.err
    asked = authority.asked[0]
    assert (asked.method, asked.path) == ("POST", f"/{tenant}/oauth2/v2.0/token")
    assert (asked.values["client_id"], asked.values["grant_type"]) == (CLIENT, "client_credentials")
    assert asked.values["scope"].startswith(RESOURCE)
    assert SECRET not in planned.out + planned.err


@pytest.mark.slow
def test_a_wrong_secret_is_said_as_entra_says_it(bench: Bench, secure: Emulator) -> None:
    with serving(Authority(secure.token()), secure.state / "tls") as authority:
        bench.environment |= principal(authority, secure.running.tenant)
        refused = bench.run("plan", str(bench.folder), AZURE_CLIENT_SECRET="another")
    assert refused.code == 1
    said = f"AADSTS7000215: Invalid client secret provided for app '{CLIENT}'"
    assert refused.err == f"error: list the pools: EnvironmentCredential gave no token: {said}\n"


def test_without_any_credential_it_is_said_which_there_could_be(bench: Bench) -> None:
    ran = bench.run("plan", str(bench.folder), AZURE_TOKEN_CREDENTIALS="EnvironmentCredential")
    assert ran.code == 1
    assert ran.err == (
        "error: list the pools: no credential was found: give the account's key in AZURE_BATCH_ACCESS_KEY, sign in "
        "with `az login`, set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run where there is a "
        "managed identity\n"
    )


def test_an_identity_that_the_host_does_not_have_is_said(bench: Bench) -> None:
    refusal = {
        "statusCode": 400,
        "message": "No User Assigned or Delegated Managed Identity found for specified ClientId",
    }
    with serving(ManagedIdentity("", refusal)) as identity:
        bench.environment |= {"IDENTITY_ENDPOINT": identity.endpoint, "IDENTITY_HEADER": HEADER}
        ran = bench.run("plan", str(bench.folder))
    assert ran.code == 1
    assert ran.err == f"error: list the pools: ManagedIdentityCredential gave no token: {refusal['message']}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "audience", "said"),
    [
        (-60, RESOURCE, "the token has expired: sign in again, and check the clock of this machine"),
        (
            3600,
            "https://management.azure.com/",
            "the token is for another service: Batch takes those for https://batch.core.windows.net/",
        ),
    ],
)
def test_a_token_that_batch_does_not_take_is_said_in_one_line(
    bench: Bench, secure: Emulator, seconds: float, audience: str, said: str
) -> None:
    token = tokens.issue(secure.running.tenant, seconds=seconds, audience=audience)
    with serving(ManagedIdentity(token)) as identity:
        bench.environment |= {"IDENTITY_ENDPOINT": identity.endpoint, "IDENTITY_HEADER": HEADER}
        ran = bench.run("plan", str(bench.folder))
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert f"list the pools: 403 AuthenticationFailed: {said}" in line
    assert token not in line


@pytest.mark.slow
def test_an_identity_without_a_role_is_told_which_it_needs(bench: Bench, secure: Emulator) -> None:
    with serving(ManagedIdentity(secure.token())) as identity:
        bench.environment |= {"IDENTITY_ENDPOINT": identity.endpoint, "IDENTITY_HEADER": HEADER}
        secure.faults(
            [{"kind": "status", "status": 403, "code": "InsufficientAccountPermissions", "path": ".*", "times": None}]
        )
        try:
            ran = bench.run("plan", str(bench.folder))
        finally:
            secure.faults([])
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert "403 InsufficientAccountPermissions" in line
    assert "'Azure Batch Data Contributor' lets it apply, 'Azure Batch Reader' plan" in line
