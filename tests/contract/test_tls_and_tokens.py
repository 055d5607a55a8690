"""https with a certificate of the emulator's own, tokens as Entra gives them out, switches chosen from outside."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from reconciler.cli.main import main
from reconciler.emulator import Emulator, control, tokens

VERSION = "api-version=2025-06-01"


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    with Emulator(state=tmp_path_factory.mktemp("secure"), tls=True) as running:
        yield running


class Credential:
    """What azure-identity would be: a token for whatever scope the client asks for."""

    def __init__(self, token: str) -> None:
        self.token, self.scopes = token, []

    def get_token(self, *scopes, **options):
        self.scopes.append(scopes)
        return AccessToken(self.token, int(time.time()) + 3600)


def client_with(emulator: Emulator, token: str) -> BatchClient:
    return BatchClient(emulator.endpoint, Credential(token), connection_verify=str(emulator.ca))


@pytest.mark.documented("X: token credentials refuse plain http; scope of the client is that of Batch")
def test_the_sdk_signs_in_with_a_token_over_tls(secure):
    assert secure.endpoint.startswith("https://127.0.0.1:")
    with client_with(secure, secure.token()) as client:
        client.create_job({"id": "tokened", "poolInfo": {"poolId": "nowhere"}})
        assert client.get_job("tokened").url == f"{secure.endpoint}/jobs/tokened"


@pytest.mark.emulator_only
def test_the_certificate_is_good_for_localhost_and_only_with_its_authority(secure):
    context = ssl.create_default_context(cafile=str(secure.ca))
    address = f"https://localhost:{secure.endpoint.rsplit(':', 1)[1]}/$emulator/health"
    with urllib.request.urlopen(address, context=context) as answer:
        assert json.load(answer)["account"] == secure.account
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(address, context=ssl.create_default_context())
    assert not list((secure.state / "tls").glob("ca*key*"))
    assert control.status(secure.state).ca == secure.ca


def forged(tenant: str, **claims) -> str:
    now = int(time.time())
    body = {"aud": tokens.AUDIENCES[0], "tid": tenant, "exp": now + 60, **claims}
    parts = [{"alg": "RS256", "typ": "JWT"}, body]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*texts, "c2ln"])


@pytest.mark.documented("G:azure-sdk-for-net#8026: the reason stands in AuthenticationErrorDetail")
@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://batch.core.windows.net"}, None),
        ({"aud": "https://management.azure.com/"}, "audience"),
        ({"exp": 1_600_000_000}, "expired"),
        ({"exp": "soon"}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"tid": "00000000-0000-0000-0000-000000000000"}, "tenant"),
        ({"tid": "\ud800"}, "tenant"),
        ({"tid": None}, "tenant"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
        ({"nbf": float("nan")}, "nbf"),
    ],
)
def test_a_token_is_taken_by_tenant_audience_and_time(secure, claims, reason):
    with client_with(secure, forged(secure.running.tenant, **claims)) as client:
        if reason is None:
            list(client.list_pools())
            return
        with pytest.raises(HttpResponseError) as refused:
            list(client.list_pools())
    assert refused.value.status_code == 403
    [detail] = refused.value.error.details
    assert (refused.value.error.code, detail.code) == ("AuthenticationFailed", "AuthenticationErrorDetail")
    assert reason in detail.message


@pytest.mark.emulator_only
@pytest.mark.parametrize("token", ["x", "a.b", "....", "e30.e30.", "e30.W10.c2ln", "!.!.!", "e30.e30.c2ln"])
def test_what_is_no_token_is_refused(emulator, raw, token):
    answer = raw("GET", "/pools", sign=False, headers={"authorization": f"Bearer {token}"})
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")


@pytest.mark.emulator_only
def test_a_refused_token_can_be_answered_with_401(tmp_path):
    with Emulator(state=tmp_path, tls=True, switches={"refused_token_status": "401"}) as emulator:
        with client_with(emulator, "e30.e30.c2ln") as client, pytest.raises(ClientAuthenticationError) as refused:
            list(client.list_pools())
        assert refused.value.status_code == 401
        assert refused.value.response.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


# --- switches


@pytest.mark.emulator_only
def test_switches_are_chosen_at_the_start_and_shown(tmp_path):
    chosen = {"empty_job_completes": "true", "delete_while_terminating": "cut"}
    running = control.start(tmp_path, switches=chosen)
    try:
        assert running.switches == chosen
        assert control.start(tmp_path).switches == chosen
        with pytest.raises(control.EmulatorError, match="other switches"):
            control.start(tmp_path, switches={"empty_job_completes": "false"})
        with pytest.raises(control.EmulatorError, match="without TLS"):
            control.start(tmp_path, tls=True)
    finally:
        control.stop(tmp_path)


@pytest.mark.emulator_only
@pytest.mark.parametrize("text", ["no_such=true", "empty_job_completes=perhaps", "empty_job_completes", "clock_skew=x"])
def test_a_switch_that_does_not_exist_stops_the_start(tmp_path, text):
    command = [sys.executable, "-m", "reconciler.emulator", "--state", str(tmp_path), "--switch", text]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=control.environment())
    assert done.returncode == 2
    assert text.partition("=")[0] in done.stderr


@pytest.mark.emulator_only
def test_the_command_line_lists_the_switches_and_passes_them_on(tmp_path, capsys):
    assert main(["emulator", "switches", "--format", "json"]) == 0
    listed = {switch["name"]: switch for switch in json.loads(capsys.readouterr().out)}
    assert listed["delete_while_terminating"]["readings"] == ["wait", "cut", "again"]
    assert main(["emulator", "switches"]) == 0
    assert "delete_while_terminating=wait\n  readings: wait, cut, again\n" in capsys.readouterr().out
    assert main(["emulator", "start", "--state", str(tmp_path), "--switch", "no_such=1"]) == 64
    arguments = ["--state", str(tmp_path), "--tls", "--switch", "delete_while_terminating=cut", "--format", "json"]
    try:
        assert main(["emulator", "start", *arguments]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["switches"] == {"delete_while_terminating": "cut"}
        assert facts["ca"] == str(tmp_path / "tls" / "ca.pem")
        assert facts["tenant"]
    finally:
        control.stop(tmp_path)
