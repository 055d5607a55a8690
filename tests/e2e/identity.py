"""What gives tokens away, on loopback: the endpoint of a managed identity, and an authority as Entra has them.

Both speak as azure-identity documents and sends: App Service's protocol of 2019-08-01
(https://learn.microsoft.com/azure/app-service/overview-managed-identity, "REST endpoint reference"), and the client
credentials grant (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

HEADER = "only-for-processes-of-this-host"
SECRET = "secret~of~the~service~principal"
CLIENT = "11111111-2222-3333-4444-555555555555"
RESOURCE = "https://batch.core.windows.net/"


@dataclass
class Asked:
    """One request: method, path, and what was asked for in the query or the form."""

    method: str
    path: str
    values: dict[str, str]


@dataclass
class Giver:
    """A server of tokens. *token* is what it gives; with *refusal* it refuses."""

    token: str
    refusal: dict[str, Any] | None = None
    asked: list[Asked] = field(default_factory=list)
    endpoint: str = ""

    def answer(self, asked: Asked, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        raise NotImplementedError


class ManagedIdentity(Giver):
    """IDENTITY_ENDPOINT of App Service and Container Apps."""

    def answer(self, asked: Asked, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """A token for the resource, to those who know the header."""
        if self.refusal is not None:
            return 400, self.refusal
        if headers.get("x-identity-header") != HEADER or asked.values.get("api-version") != "2019-08-01":
            return 401, {"statusCode": 401, "message": "Unauthorized"}
        lasts = str(int(time.time()) + 3600)
        given = {"access_token": self.token, "expires_on": lasts, "resource": asked.values["resource"]}
        return 200, {**given, "token_type": "Bearer", "client_id": CLIENT}


class Authority(Giver):
    """The token endpoint of a tenant. azure-identity's asynchronous credentials go there without instance discovery."""

    def answer(self, asked: Asked, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """A token for whoever knows the secret."""
        if asked.values.get("client_secret") != SECRET:
            said = f"AADSTS7000215: Invalid client secret provided for app '{CLIENT}'. Trace ID: 1 Timestamp: 2"
            return 401, {"error": "invalid_client", "error_description": said, "error_codes": [7000215]}
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": self.token}


@contextmanager
def serving(giver: Giver, tls: Path | None = None) -> Iterator[Giver]:
    """Serve on loopback; with *tls*, a folder with the emulator's own certificate, over https."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            form = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            values = {name: value[0] for name, value in parse_qs(parts.query or form).items()}
            asked = Asked(self.command, parts.path, values)
            giver.asked.append(asked)
            status, body = giver.answer(asked, {name.lower(): value for name, value in self.headers.items()})
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it
            """Quiet: the test asks what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    giver.endpoint = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield giver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
