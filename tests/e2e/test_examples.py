"""The example manifests do what they say, on real processes; downloads and uploads go to loopback."""

import http.server
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MARKET = "ACME,12\nBETA,30\nCORP,8\n"


class Web:
    """A web server that serves one file, counts who fetched it, and keeps what is PUT."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.kept: dict[str, bytes] = {}
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.fetched.append(self.path)
                self.answer(200, MARKET.encode())

            def do_PUT(self) -> None:
                web.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(201, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Silence."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def use(bench: Any, name: str) -> None:
    shutil.rmtree(bench.folder)
    shutil.copytree(ROOT / "manifests" / name, bench.folder)


def test_job_level_data_is_downloaded_once_on_each_node_and_removed_at_the_end(bench: Any, web: Web) -> None:
    use(bench, "data-download")
    flag = ("--var", f"data_url={web.url}/market.csv")
    assert bench.apply(*flag).code == 0
    nodes = list((bench.emulator.state / "nodes").glob("*/*/shared/daily-risk/market.csv"))
    assert web.fetched == ["/market.csv"] * len(nodes)
    assert 1 <= len(nodes) <= 2
    assert bench.run("logs", "job/daily-risk", "--task", "total").out.endswith("<==\n50\n")
    assert bench.run("logs", "job/daily-risk", "--task", "largest").out.endswith("<==\nBETA,30\n")
    assert bench.run("destroy", str(bench.folder), "--auto-approve", *flag).code == 0
    assert not list((bench.emulator.state / "nodes").glob("*/*/shared/daily-risk"))


def test_two_jobs_on_a_shared_pool_clean_up_after_themselves_only(bench: Any) -> None:
    use(bench, "clean-up")
    assert bench.apply().code == 0
    status = bench.run("status", str(bench.folder))
    assert status.code == 0
    shared = bench.emulator.state / "nodes"
    assert not list(shared.glob("*/*/shared/render-a")), "render-a ended by itself and released its folder"
    assert [path.name for path in shared.glob("*/*/shared/render-b/*")] == ["frame-1.raw"]
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def test_logs_are_uploaded_by_the_release_task(bench: Any, web: Web) -> None:
    use(bench, "keep-logs")
    flags = ("--var", f"logs_url={web.url}/logs")
    assert bench.apply(*flags).code == 0
    assert web.kept == {}
    done = bench.run("destroy", str(bench.folder), "--auto-approve", *flags)
    assert done.code == 0
    logs = {}
    for path, body in web.kept.items():
        assert path.startswith("/logs/solver-tvmps_")
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member)
                if file is not None:
                    logs[member.name] = file.read().decode()
    assert logs == {"logs/good.log": "solved\n", "logs/diverged.log": "diverged at step 17\n"}
