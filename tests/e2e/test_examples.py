"""The example manifests do what they say, on real processes; downloads and uploads go to loopback."""

import http.server
import io
import json
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

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


def written(bench: Any, name: str) -> list[list[str]]:
    """The lines of a file of the nodes' shared directory, of each node that has it."""
    return sorted(bench.shared(name).values())


def until(true: Callable[[], Any], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def settles(bench: Any) -> None:
    """A second apply finds nothing to do."""
    assert bench.apply().out.endswith("No changes. The account matches the manifests.\n")


def test_each_job_of_a_schedule_is_prepared_and_released(bench: Any) -> None:
    use(bench, "scheduled")
    assert bench.apply().code == 0
    until(lambda: written(bench, "released") == [["hourly-report:job-1"]])
    assert written(bench, "report/prepared") == [["hourly-report:job-1"]]
    settles(bench)


def test_on_the_nodes_of_an_auto_pool_start_task_and_preparation_run_equally_often(bench: Any) -> None:
    use(bench, "auto-pool")
    assert bench.apply().code == 0
    assert bench.run("logs", "job/one-off", "--task", "count").out.endswith("<==\n1 start, 1 preparation\n")
    settles(bench)
    assert bench.run("destroy", str(bench.folder), "--auto-approve").code == 0
    until(lambda: "one-off" not in json.dumps(json.loads(bench.run("snapshot").out)["answers"]["/pools"]))


def test_the_start_task_runs_once_on_a_node_and_a_preparation_once_for_each_job_there(bench: Any) -> None:
    use(bench, "start-task")
    assert bench.apply().code == 0
    nodes = written(bench, "setup")
    assert len(nodes) == 2
    for lines in nodes:
        assert lines[0] == "start"
        assert len(set(lines)) == len(lines)
        assert set(lines) <= {"start", "colour", "shape"}
    assert {line for lines in nodes for line in lines} == {"start", "colour", "shape"}
    settles(bench)


def test_nodes_that_get_no_task_are_neither_prepared_nor_released(bench: Any) -> None:
    use(bench, "idle-nodes")
    assert bench.apply().code == 0
    until(lambda: written(bench, "small") == [["prepared", "released"]])
    settles(bench)


def test_tasks_do_not_wait_for_a_preparation_that_they_need_not_wait_for(bench: Any) -> None:
    use(bench, "warm-up")
    assert bench.apply().code == 0
    assert bench.run("logs", "job/warm-up", "--task", "first").out.endswith("<==\ncold\n")
    until(lambda: written(bench, "cache") == [[]])
    settles(bench)


@pytest.mark.parametrize("again", [False, True])
def test_a_preparation_is_done_again_after_a_reboot_only_if_asked_for(bench: Any, again: bool) -> None:
    use(bench, "reboot")
    job = bench.folder / "job.yaml"
    if again:
        text = job.read_text("utf-8").replace("rerunOnNodeRebootAfterSuccess: false", "waitForSuccess: true")
        job.write_text(text, "utf-8")
    assert bench.apply().code == 0
    with client(bench) as account:
        (node,) = account.list_nodes("reboot")
        account.begin_reboot_node("reboot", node.id, {"nodeRebootOption": "requeue"}, polling_interval=0).result()
        until(lambda: account.get_node("reboot", node.id).state == "idle")
    job.write_text(job.read_text("utf-8") + "  - {id: after, commandLine: /bin/true}\n", "utf-8")
    assert bench.apply().code == 0
    assert written(bench, "reboot") == [["prepared"] * (2 if again else 1)]
    settles(bench)


def test_an_elevated_preparation_is_asked_for_as_such_and_runs(bench: Any) -> None:
    use(bench, "elevated")
    assert bench.apply().code == 0
    with client(bench) as account:
        asked = account.get_job("elevated").job_preparation_task.user_identity.auto_user
        assert asked.elevation_level == "admin"
        assert account.get_task("elevated", "work").user_identity.auto_user.elevation_level == "nonadmin"
    assert bench.run("logs", "job/elevated", "--task", "work").out.endswith("<==\nprepared\n")
    settles(bench)


def test_a_job_manager_runs_after_the_preparation_and_its_end_releases(bench: Any) -> None:
    use(bench, "job-manager")
    assert bench.apply().code == 0
    until(lambda: written(bench, "order") == [["preparation", "manager", "release"]])
    settles(bench)


def client(bench: Any) -> BatchClient:
    """The SDK's client, for what people do beside the manifests."""
    emulator = bench.emulator
    return BatchClient(emulator.endpoint, AzureNamedKeyCredential(emulator.account, emulator.key))


def test_every_example_has_a_stack_and_says_why_it_is_there() -> None:
    for folder in sorted((ROOT / "manifests").iterdir()):
        assert (folder / "stack.yaml").exists(), folder
        texts = [path.read_text("utf-8") for path in folder.glob("*.yaml")]
        assert any(
            line.startswith("# ") and "yaml-language-server" not in line for text in texts for line in text.splitlines()
        )
