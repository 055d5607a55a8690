"""https with a certificate of the emulator's own, tokens as Entra gives them out, switches chosen from outside."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from reconciler.cli.main import main
from reconciler.emulator import Emulator, EmulatorError, control, tokens

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


@pytest.mark.documented("R26, R20: headers of every answer; RFC 6797")
def test_strict_transport_security_is_asked_for_where_it_means_something_and_does_no_harm(secure, emulator, raw):
    for running, host, sent in (
        (secure, "127.0.0.1", True),
        (secure, "localhost", False),
        (emulator, "127.0.0.1", False),
    ):
        address = urlsplit(running.endpoint)
        context = ssl.create_default_context(cafile=str(secure.ca))
        url = f"{address.scheme}://{host}:{address.port}/jobs?{VERSION}"
        token = running.token()
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, context=context if address.scheme == "https" else None) as answer:
            assert (host, "Strict-Transport-Security" in answer.headers) == (host, sent)


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
    running = control.start(tmp_path, control.Options(switches=chosen))
    try:
        assert running.switches == chosen
        assert control.start(tmp_path).switches == chosen
    finally:
        control.stop(tmp_path)


@pytest.mark.emulator_only
def test_one_that_runs_otherwise_than_asked_for_is_named_and_left_alone(tmp_path, capsys):
    chosen = ["empty_job_completes=true", "clock_skew=1234567"]
    start = ["emulator", "start", "--state", str(tmp_path)]
    given = [text for switch in chosen for text in ("--switch", switch)]
    assert main([*start, *given, "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    port = facts["endpoint"].rsplit(":", 1)[1]
    other = str(int(port) - 1)
    try:
        for options, difference in (
            (["--port", other], f"port: {port}, not {other}"),
            (["--host", "0.0.0.0"], "host: 127.0.0.1, not 0.0.0.0"),
            (["--tls"], "TLS: off, not on"),
            (["--chaos", "7"], "chaos: off, not 7"),
            (["--switch", "empty_job_completes=false"], "switch empty_job_completes: true, not false"),
            (["--switch", "clock_skew=900"], "switch clock_skew: 1234567, not 900"),
            (["--switch", "delete_while_terminating=cut"], "switch delete_while_terminating: wait, not cut"),
        ):
            assert main([*start, *options]) == 1
            shown = capsys.readouterr()
            assert shown.out == ""
            assert difference in shown.err
            assert f"at {facts['endpoint']} (process {facts['pid']})" in shown.err
            assert "Stop it first (reconciler emulator stop)" in shown.err
        same = [*given, "--port", port, "--host", "127.0.0.1", "--switch", "delete_while_terminating=wait"]
        assert main([*start, *same, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out) == facts
    finally:
        control.stop(tmp_path)


@pytest.mark.emulator_only
def test_chaos_is_started_shown_and_kept_apart_from_another_seed(tmp_path, capsys):
    start = ["emulator", "start", "--state", str(tmp_path), "--chaos"]
    try:
        assert main([*start, "11"]) == 0
        assert "# chaos by seed 11" in capsys.readouterr().out
        assert main([*start, "11", "--format", "json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["chaos"] == 11
        statuses = [status_of(facts["endpoint"]) for _ in range(60)]
        assert {403, None} < set(statuses) <= {403, 429, 503, None}
        assert main([*start, "12"]) == 1
        assert "chaos: 11, not 12" in capsys.readouterr().err
    finally:
        control.stop(tmp_path)


def status_of(endpoint: str) -> int | None:
    """Of an unsigned request; None if the connection was reset."""
    try:
        with urllib.request.urlopen(f"{endpoint}/jobs?{VERSION}", timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
    except (urllib.error.URLError, ConnectionError):
        return None


# --- beyond loopback


@pytest.mark.emulator_only
def test_an_emulator_for_other_machines_says_what_that_means_and_answers_by_the_name_it_is_called(tmp_path, capsys):
    start = ["emulator", "start", "--state", str(tmp_path), "--host", "0.0.0.0", "--format", "json"]
    try:
        assert main(start) == 0
        shown = capsys.readouterr()
        facts = json.loads(shown.out)
        assert "warning: listening on 0.0.0.0" in shown.err
        assert "runs commands here as" in shown.err
        assert facts["endpoint"].startswith("http://127.0.0.1:")
        address = urlsplit(facts["endpoint"])
        for host, base in (
            ("batch.example:18080", "http://batch.example:18080"),
            ("[fe80::1]:80", "http://[fe80::1]:80"),
            ("a b/c", facts["endpoint"]),
        ):
            connection = http.client.HTTPConnection("127.0.0.2", address.port, timeout=60)
            token = tokens.issue(facts["tenant"])
            connection.request("GET", f"/jobs?{VERSION}", headers={"Host": host, "Authorization": f"Bearer {token}"})
            assert json.loads(connection.getresponse().read())["odata.metadata"] == f"{base}/$metadata#jobs"
            connection.close()
    finally:
        control.stop(tmp_path)


@pytest.mark.emulator_only
def test_the_certificate_names_the_address_listened_on(tmp_path):
    with Emulator(state=tmp_path, tls=True) as emulator:
        before = emulator.ca.read_bytes()
    with Emulator(state=tmp_path, tls=True, host="127.0.0.3") as emulator:
        assert emulator.endpoint.startswith("https://127.0.0.3:")
        assert emulator.ca.read_bytes() != before
        with client_with(emulator, emulator.token()) as client:
            assert list(client.list_jobs()) == []
    with pytest.raises(EmulatorError, match="nonsense"):
        control.start(tmp_path, control.Options(host="nonsense"))


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
