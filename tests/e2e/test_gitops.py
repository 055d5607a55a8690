"""GitOps from end to end: a real Git server, a storage account, real processes, and a browser that watches them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient
from azure.batch.models import BatchJobUpdateOptions
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob import ContainerClient
from azurite import Azurite
from chromium import launched, opened
from e2e.conftest import POOL, STACK, Bench
from playwright.sync_api import Browser, Locator, Page, expect
from source.conftest import ENVIRONMENT, GIT, Repository

from reconciler.store.blob import API_VERSION

DEADLINE = 120.0
MILLISECONDS = 1000 * DEADLINE
SECRET = "of-the-webhook"
GATED = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: nightly}
spec:
  poolInfo: {poolId: p}
  priority: PRIORITY
  jobPreparationTask:
    commandLine: /bin/sh -c 'echo prepared >> "$AZ_BATCH_NODE_SHARED_DIR/nightly.txt"'
  jobReleaseTask:
    commandLine: >-
      /bin/sh -c 'echo releases >> "$AZ_BATCH_NODE_SHARED_DIR/nightly.txt";
      until test -e "GATES/$AZ_BATCH_NODE_ID"; do sleep 0.1; done;
      echo released >> "$AZ_BATCH_NODE_SHARED_DIR/nightly.txt"'
taskGroups:
- name: part
  parameters: {n: {range: {last: 2}}}
  template: {id: 'part-${item.n}', commandLine: /bin/sh -c 'until test -e "GATES/tasks"; do sleep 0.1; done'}
"""
KEEPER = """\
apiVersion: reconciler/v1
kind: Job
metadata: {name: keeper}
spec: {poolInfo: {poolId: p}, priority: PRIORITY}
"""

pytestmark = pytest.mark.skipif(GIT is None, reason="needs git: apt-get install git")


def wait_until(met: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not met():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.05)


# The Git server


@dataclass
class Origin:
    """A branch behind `git daemon`, and the repository of somebody who pushes to it."""

    work: Repository
    url: str

    def push(self, subject: str, **files: str) -> str:
        """A commit whose folder `batch` holds these manifests alone; its id."""
        tree = {"README.md": "Batch of the night\n", **{f"batch/{name}.yaml": text for name, text in files.items()}}
        commit = self.work.commit(tree, subject)
        self.work.git("push", "-q", self.url, "main")
        return commit


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    served = Repository(tmp_path / "served" / "batch.git")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--listen=127.0.0.1", f"--port={port}", "--export-all", "--enable=receive-pack", "--reuseaddr"]
    daemon = subprocess.Popen(
        ["git", "daemon", *options, f"--base-path={served.folder.parent}"],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with socket.socket() as probe:
        wait_until(lambda: probe.connect_ex(("127.0.0.1", port)) == 0, "the Git server")
    yield Origin(Repository(tmp_path / "work.git"), f"git://127.0.0.1:{port}/batch.git")
    os.killpg(daemon.pid, signal.SIGKILL)  # it answers in children of its own
    daemon.wait(60)


# The controllers


class Replica:
    """A controller as a process, with a home of its own: replicas share the store, and nothing else."""

    def __init__(self, bench: Bench, name: str, *flags: str, **environment: str) -> None:
        home = bench.folder.parent / name
        home.mkdir()
        self._events, self._said = home / "events.jsonl", home / "stderr.txt"
        arguments = ["run", *flags, "--http", "127.0.0.1:0", "--events", str(self._events)]
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                bench.command(*arguments),
                env={**bench.environment, "HOME": str(home), **environment},
                stdin=subprocess.DEVNULL,
                stderr=said,
            )

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self._events.read_text("utf-8").split("\n")[:-1] if self._events.exists() else []
        return [json.loads(line) for line in lines]

    def wait_for(self, code: str, address: str = "", since: int = 0, saying: str = "") -> dict[str, Any]:
        """The first event of a kind with a number above *since*."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            assert self.process.poll() is None, self._said.read_text("utf-8")
            found.extend(
                event
                for event in self.events
                if (event["code"], event.get("address", "")) == (code, address)
                and event["number"] > since
                and saying in event["message"]
            )
            return bool(found)

        wait_until(there, f"{code} {address} {saying}")
        return found[0]

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return max((event["number"] for event in self.events), default=0)

    @property
    def url(self) -> str:
        """Where its page is."""
        found: list[str] = []
        wait_until(lambda: found.extend(re.findall(r"http://[\d.:]+", self._said.read_text("utf-8"))) or found, "page")
        return found[0]

    @property
    def is_ready(self) -> bool:
        """Whether it has looked at the account, as a probe asks it."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=60) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def end(self) -> str:
        """By a signal, cleanly; what it said to people."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        return self._said.read_text("utf-8")

    def kill(self) -> None:
        """Not at all cleanly."""
        self.process.kill()
        self.process.wait(60)


@contextmanager
def replica(bench: Bench, name: str, *flags: str, **environment: str) -> Iterator[Replica]:
    made = Replica(bench, name, *flags, **environment)
    try:
        yield made
    finally:
        made.kill()


# Who looks


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def watch(page: Page, url: str) -> Page:
    """Open a page that updates itself; `is_same` tells later whether it was ever loaded anew."""
    page.goto(url)
    page.locator("#live[data-state=on]").wait_for()
    page.evaluate("window.here = true")
    return page


def is_same(page: Page) -> bool:
    return bool(page.evaluate("window.here === true"))


def shows(place: Locator, text: str | re.Pattern[str]) -> None:
    expect(place).to_contain_text(text, timeout=MILLISECONDS)


def shows_no(place: Locator, text: str) -> None:
    expect(place).not_to_contain_text(text, timeout=MILLISECONDS)


def twig(page: Page, address: str) -> Locator:
    """The line of an object in the tree of a stack."""
    return page.locator("#tree-body .twig", has=page.get_by_role("link", name=address, exact=True))


def release_on(page: Page, node: str) -> Locator:
    """What the page of a job says of its release on a node."""
    row = page.locator("#nodes-body tbody tr", has=page.locator(f'[title="{node}"]'))
    return row.locator('[data-label="Release"]')


def client_of(bench: Bench) -> BatchClient:
    emulator = bench.emulator
    return BatchClient(emulator.endpoint, AzureNamedKeyCredential(emulator.account, emulator.key))


def test_from_a_commit_to_the_end_of_its_jobs_whoever_leads(
    bench: Bench, origin: Origin, azurite: Azurite, tmp_path: Path, browser: Browser
) -> None:
    gates = tmp_path / "gates"
    gates.mkdir()
    nightly, keeper = GATED.replace("GATES", str(gates)).replace("PRIORITY", "0"), KEEPER.replace("PRIORITY", "0")
    container = f"gitops-{uuid.uuid4().hex[:12]}"
    azurite.make_container(container)
    store = f"{azurite.base}/{container}/team"
    bench.environment["AZURE_STORAGE_KEY"] = azurite.key
    flags = ("--git", origin.url, "--path", "batch", "--store", store, "--interval", "1s")
    first = origin.push("The night", stack=STACK, pool=POOL, nightly=nightly, keeper=keeper)

    with (
        client_of(bench) as account,
        replica(bench, "one", *flags) as leader,
        opened(browser) as (window, page, wrong),
    ):
        # A commit is applied, and two look.
        leader.wait_for("Leading")
        leader.wait_for("Created", "job/nightly")
        assert leader.wait_for("Created", "job/keeper")["revision"] == first
        with replica(bench, "two", *flags) as follower:
            follower.wait_for("Following")
            wait_until(lambda: follower.is_ready, "the follower to have looked")
            stack = watch(page, f"{follower.url}/stacks/s")
            job = watch(window.new_page(), f"{follower.url}/stacks/s/objects/job/nightly")
            led = watch(window.new_page(), f"{leader.url}/stacks/s")
            facts = stack.locator("#facts-list")
            shows(facts, "Leaderanother process")
            shows(facts, f"pid {leader.process.pid}")
            shows(facts, f"{first[:12]} The night by Ada")
            shows(led.locator("#facts-list"), "Leaderthis process")
            shows(twig(stack, "job/nightly"), "2 running")
            shows(twig(stack, "job/nightly"), "Progressing")
            (gates / "tasks").touch()
            shows(twig(stack, "job/nightly"), "2 of 2 tasks succeeded")
            shows(twig(stack, "job/nightly"), "Healthy")
            nodes = sorted(node.id for node in account.list_nodes("p"))
            assert bench.shared("nightly.txt") == {node: ["prepared"] for node in nodes}

            # Another commit changes an object, and what somebody does behind its back is undone.
            second = origin.push(
                "More of it", stack=STACK, pool=POOL, nightly=nightly, keeper=KEEPER.replace("PRIORITY", "70")
            )
            wait_until(lambda: account.get_job("keeper").priority == 70, "the change to be applied")
            shows(facts, f"{second[:12]} More of it")
            account.update_job("keeper", BatchJobUpdateOptions(priority=-5))
            wait_until(lambda: account.get_job("keeper").priority == 70, "the drift to be reverted")
            assert leader.wait_for("DriftReverted", "job/keeper")["revision"] == second
            shows(led.locator("#events-body"), "DriftReverted")

            # A job leaves by a commit. Its release goes on as long as the gates are closed.
            third = origin.push("No night", stack=STACK, pool=POOL, keeper=KEEPER.replace("PRIORITY", "70"))
            assert leader.wait_for("Terminated", "job/nightly")["revision"] == third
            shows(stack.locator("#head-state"), "OutOfSync")
            shows(twig(stack, "job/nightly"), "OutOfSync")
            for node in nodes:
                shows(release_on(job, node), "running")
            (gates / nodes[0]).touch()
            shows(release_on(job, nodes[0]), "exit code 0")
            shows(release_on(job, nodes[1]), "running")

            # The leader dies, and the other one goes on from there.
            assert is_same(led)
            led.close()
            leader.kill()
            follower.wait_for("Leading")
            shows(facts, "Leaderthis process")
            shows(stack.locator("#head-state"), "InProgress")
            shows(release_on(job, nodes[1]), "running")
            assert is_same(job)
            (gates / nodes[1]).touch()
            follower.wait_for("Deleted", "job/nightly")
            wait_until(lambda: {found.id for found in account.list_jobs()} == {"keeper"}, "the job to be gone")
            shows(stack.locator("#head-state"), "Synced")
            shows(stack.locator("#events-body"), "ReceiptWritten")
            shows_no(stack.locator("#tree-body"), "job/nightly")
            shows(job.locator("#head-state"), "not there any more")
            shows(job.locator("#facts-body"), "/receipts/nightly")
            expect(job.get_by_text("running")).to_have_count(0, timeout=MILLISECONDS)
            assert is_same(stack)
            assert is_same(job)
            assert wrong == []
            said = follower.end()

    assert bench.shared("nightly.txt") == {node: ["prepared", "releases", "released"] for node in nodes}
    writes = [write for write in bench.writes() if write.endswith(("/jobs/nightly", "/jobs/nightly/terminate"))]
    assert writes[-2:] == ["POST /jobs/nightly/terminate", "DELETE /jobs/nightly"]
    assert writes.count("POST /jobs/nightly/terminate") == 1
    assert [event["code"] for event in follower.events][-2:] == ["Following", "Stopped"]
    assert "Traceback" not in said
    _check_store(bench, azurite, container, store, nodes, (leader, follower), (first, second, third))


def _check_store(
    bench: Bench,
    azurite: Azurite,
    container: str,
    store: str,
    nodes: list[str],
    replicas: tuple[Replica, Replica],
    revisions: tuple[str, str, str],
) -> None:
    """What is left of it all: the receipt, and the journal of both processes."""
    key = AzureNamedKeyCredential(azurite.account, azurite.key)
    with ContainerClient(azurite.base, container, credential=key, api_version=API_VERSION) as blobs:
        names = [name for name in blobs.list_blob_names() if "/receipts/" in name]
        assert len(names) == 1
        receipt = json.loads(blobs.download_blob(names[0]).readall())
    assert receipt["job"] == "nightly"
    runs = {run["node"]: [run[part]["exit_code"] for part in ("preparation", "release")] for run in receipt["nodes"]}
    assert runs == {node: [0, 0] for node in nodes}
    rows = json.loads(bench.run("history", "--store", store, "--format", "json").out)["events"]
    begun = {row["run"]: row for row in rows if row["event"] == "run"}
    done = [
        (begun[row["run"]]["who"].split()[-1], begun[row["run"]]["revision"], row["verb"], row["object"])
        for row in rows
        if row["event"] == "action"
    ]
    one, two = (str(replica.process.pid) for replica in replicas)
    first, second, third = revisions
    assert (one, first, "create", "job/nightly") in done
    assert (one, second, "update", "job/keeper") in done
    about = [(pid, revision, verb) for pid, revision, verb, thing in done if thing == "job/nightly"][-2:]
    assert about == [(one, third, "terminate"), (two, third, "delete")]


def call(url: str, body: bytes = b"", secret: str = SECRET) -> int:
    """What a push tells a webhook, signed as GitHub does it; the answer's status."""
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/webhook", body, headers), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_bad_commit_changes_nothing_and_a_webhook_tells_of_the_next_one(
    bench: Bench, origin: Origin, browser: Browser
) -> None:
    """The next pass by itself would come in an hour."""
    pool = POOL.replace("targetDedicatedNodes: 2", "targetDedicatedNodes: 0")
    good = {"stack": STACK, "pool": pool, "keeper": KEEPER.replace("PRIORITY", "0")}
    pushed = json.dumps({"ref": "refs/heads/main"}).encode()
    first = origin.push("Good", **good)
    flags = ("--git", origin.url, "--path", "batch", "--interval", "1h")
    with (
        client_of(bench) as account,
        replica(bench, "one", *flags, RECONCILER_WEBHOOK_SECRET=SECRET) as one,
        opened(browser) as (_, page, wrong),
    ):
        one.wait_for("Synced")
        watch(page, f"{one.url}/stacks/s")
        head, alerts, facts = (page.locator(f"#{name}") for name in ("head-state", "alerts", "facts-list"))
        shows(head, "Synced")

        def metrics() -> str:
            with urllib.request.urlopen(f"{one.url}/metrics", timeout=60) as answer:
                return str(answer.read().decode())

        broken = origin.push("Bad", **{**good, "keeper": KEEPER.replace("priority: PRIORITY", "prioritty: 3")})
        assert call(one.url, pushed, "another secret") == 401
        since = one.last
        assert call(one.url, pushed) == 202
        told = one.wait_for("InvalidManifests", since=since)
        assert told["warning"]
        assert "batch/keeper.yaml:4:31: " in told["message"]
        shows(head, "InvalidManifests")
        shows(alerts, "batch/keeper.yaml:4:31: ")
        shows(alerts, f"Revision {broken[:12]} Bad is not in force: the last good one, {first[:12]}, is.")
        read = metrics()
        assert 'reconciler_reconcile_total{result="InvalidManifests",stack="s"} 1.0' in read
        assert f'reconciler_revision_info{{newest="no",revision="{first}",stack="s"}} 1.0' in read

        # The last good one is in force: it is still what drift is measured by.
        account.update_job("keeper", BatchJobUpdateOptions(priority=-5))
        assert call(one.url, pushed) == 202
        reverted = one.wait_for("DriftReverted", "job/keeper")
        assert (reverted["revision"], reverted["fields"]["changed"]) == (first, "priority")
        assert account.get_job("keeper").priority == 0
        shows(page.locator("#events-body"), "DriftReverted")

        # An empty source never prunes, be it a Stack without objects, no Stack, or no folder.
        since, writes = one.last, len(bench.writes())
        origin.push("Nothing but a Stack", stack=STACK)
        assert call(one.url, pushed) == 202
        one.wait_for("GuardStopped", since=since, saying="the manifests hold no object at all, and 2 objects")
        shows(head, "Guarded")
        shows(alerts, "the manifests hold no object at all, and 2 objects of stack 's' would go")
        shows(alerts, 'allow it with reconciler/allow-deletes: "2 until TIME" among the annotations of the Stack')
        assert 'reconciler_reconcile_total{result="Guarded",stack="s"} 1.0' in metrics()
        origin.push("No folder")
        assert call(one.url, pushed) == 202
        one.wait_for("InvalidManifests", since=since, saying="no folder or file 'batch'")
        shows(alerts, "no folder or file 'batch'")
        assert {found.id for found in account.list_jobs()} == {"keeper"}
        assert bench.writes()[writes:] == []

        since = one.last
        last = origin.push("Good again", **{**good, "keeper": KEEPER.replace("PRIORITY", "9")})
        assert call(one.url, pushed) == 202
        assert one.wait_for("Updated", "job/keeper", since)["revision"] == last
        one.wait_for("Recovered", since=since)
        one.wait_for("Synced", since=since)
        assert account.get_job("keeper").priority == 9
        shows(head, "Synced")
        shows(facts, f"{last[:12]} Good again")
        expect(alerts).to_be_empty(timeout=MILLISECONDS)
        assert f'reconciler_revision_info{{newest="yes",revision="{last}",stack="s"}} 1.0' in metrics()

        # Whoever means it says so in a commit.
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        consent = f'reconciler/allow-deletes: "2 until {until}"'
        origin.push("All of it", stack=STACK.replace("name: s", f"name: s, annotations: {{{consent}}}"))
        assert call(one.url, pushed) == 202
        one.wait_for("Deleted", "pool/p")
        wait_until(lambda: [*account.list_pools(), *account.list_jobs()] == [], "the account to be empty")
        kept = bench.run("history", HOME=str(bench.folder.parent / "one")).out
        assert f"batch/stack.yaml:3: reconciler/allow-deletes (2) until {until}" in kept
        assert is_same(page)
        assert wrong == []
        assert "webhook refused" in one.end()
