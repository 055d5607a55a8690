"""Recorded sessions of the real service, sent again: same request, same status, code, headers and body keys.

What the service makes (times, ids, ETags, URLs, counters) is compared by sort, what the client gave by value of its
sort; ids are mapped, so that all sessions share one emulator. What is refused on purpose or cannot be the same is
listed below with its reason: `MAPPED` is rewritten before it is sent, `EXCUSED` is not compared.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "reference" / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.json") if path.stem != "index")
COMPARED_HEADERS = {
    *("content-type", "content-length", "transfer-encoding", "dataserviceid", "dataserviceversion", "etag"),
    *("last-modified", "location", "request-id", "ocp-batch-file-isdirectory", "ocp-batch-file-url"),
    *("ocp-batch-file-mode",),
}
FRAMING = {"content-length", "transfer-encoding"}  # of answers without a body, where HTTP/1.1 forbids some of it
VM = {
    "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
    "nodeAgentSKUId": "batch.node.ubuntu 22.04",
}
# Properties that are rewritten in requests, and not looked into in answers.
MAPPED = {
    "cloudServiceConfiguration": "retired: pools of cloud services; sent as virtual machines",
    "certificateReferences": "retired: certificates; left out",
    "authenticationTokenSettings": "retired: task authentication tokens; left out",
}
# Keys of answers that are not compared, wherever they stand.
EXCUSED_KEYS = {
    "cloudServiceConfiguration": "retired",
    "virtualMachineConfiguration": "stands for a cloud service in mapped sessions; compared in the others",
    "certificateReferences": "retired",
    "authenticationTokenSettings": "retired",
    "targetNodeCommunicationMode": "retired",
    "batchSupportEndOfLife": "a fact about each image, not about the form",
    "inboundEndpoints": "Windows nodes have others than Linux ones",
    "resizeErrors": "nodes come at once here, so a stopped resize may have reached its target",
    "windowsUserConfiguration": "of Windows nodes",
    "linuxUserConfiguration": "of Linux nodes, where the recording is of Windows ones",
    "x-trimmed": "added by those who shortened the recording",
    "scope": "the default scope of a user was shown from 2020 on only",
}
EXCUSED: dict[tuple[str, int], str] = {
    ("py2018-compute_node_user", 44): "retired operation: remote desktop file",
    ("py2018-create_pools", 0): "retired operation: node agent SKUs",
    ("py2018-jobs", 12): "retired operation: lifetime statistics",
    ("py2018-scale_pools", 9): "retired operation: lifetime statistics",
    ("py2020b-jobs", 12): "retired operation: lifetime statistics",
    ("py2020b-scale_pools", 8): "retired operation: lifetime statistics",
    ("node2020-reimage_a_compute_node", 0): "reimage of a cloud service pool; virtual machines were refused (py2018)",
    ("node2020-add_a_pool_with_vnet_and_get_expected_error", 0): "no virtual networks here; body not recorded",
    ("cli2020-pool_cmd", 1): "any image is taken, since none is used here",
    ("cli2020-pool_cmd", 2): "any image is taken, since none is used here",
    ("cli2024-pool_cmd", 1): "any image is taken, since none is used here",
    ("cli2024-pool_cmd", 2): "any image is taken, since none is used here",
    ("py2017-tasks", 0): "a job action on exit needs onTaskFailure, which the job of 2017 did not have",
    ("py2017-tasks", 1): "see 0",
    ("py2017-tasks", 8): "refused by name: containers",
    ("py2017-tasks", 9): "see 8",
    ("py2017-tasks", 13): "the list shows the tasks of 0 and 8",
    ("py2018-create_pools", 3): "no virtual networks here; the body was recorded as text",
    ("py2018-create_pools", 4): "any image is taken, since none is used here",
    ("py2018-network_configuration", 11): "the recorded node was still being created; here it may be up already",
    ("ps2024-job_auto_failure", 2): "the task that failed was not recorded",
    ("ps2024-job_auto_failure", 3): "the task that failed was not recorded",
}
EXCUSED_HEADERS = {("py2017-tasks", 17): {"dataserviceid"}}  # documented of reactivate since (S24)


def existing(recording: str) -> dict:
    return json.loads((RECORDINGS / f"{recording}.json").read_text())


def sort_of(value: object) -> str:
    """What sort of value this is: ids and times differ between any two runs."""
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    if isinstance(value, int | float):
        return "number"
    text = str(value)
    for sort, pattern in (
        ("etag", r"0x[0-9A-F]+"),
        ("time", r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
        ("duration", r"-?P(\d+D)?(T[\dHM.S]+)?"),
        ("url", r"https?://.*"),
    ):
        if re.fullmatch(pattern, text):
            return sort
    return "text"


def shape(value: object, path: str = "") -> dict[str, str]:
    """Every place in a body and the sort of value there; entries of a list are taken together."""
    if isinstance(value, dict):
        places = {} if value else {path: "object"}
        for key, item in value.items():
            if key not in EXCUSED_KEYS:
                places |= shape(item, f"{path}.{key}")
        return places
    if isinstance(value, list):
        places = {path: "list"}
        for item in value:
            places |= shape(item, f"{path}[]")
        return places
    return {path: sort_of(value)}


WRITABLE = {
    "pools": (
        *("displayName", "vmSize", "virtualMachineConfiguration", "cloudServiceConfiguration", "startTask"),
        *("userAccounts", "metadata", "maxTasksPerNode", "taskSlotsPerNode", "taskSchedulingPolicy"),
        *("networkConfiguration", "enableInterNodeCommunication", "targetLowPriorityNodes", "applicationLicenses"),
    ),
    "jobschedules": ("displayName", "schedule", "jobSpecification", "metadata"),
}
MAKE = {
    "pools": {"vmSize": "standard_a1", "virtualMachineConfiguration": VM},
    "jobs": {},
    "jobschedules": {
        "schedule": {"doNotRunUntil": "2099-12-25T08:00:00Z", "startWindow": "PT6M"},
        "jobSpecification": {"poolInfo": {"poolId": "nowhere"}},
    },
    "tasks": {"commandLine": "/bin/true"},
}
# Bodies that the recorder did not keep.
BODIES = {
    "node2020-add_a_pool_with_a_Data_Disk": {
        "id": "nodesdkdatadiskpool",
        "vmSize": "Standard_A1",
        "virtualMachineConfiguration": {**VM, "dataDisks": [{"lun": 1, "diskSizeGB": 50}]},
    },
    "node2020-create_a_job": {"id": "HelloWorldJobNodeSDKTest", "poolInfo": {"poolId": "nowhere"}},
    "node2020-create_a_pool_with_application_licenses": {"id": "nodesdktestpool_licenses", **MAKE["pools"]},
    "node2020-create_a_task": {"id": "HelloWorldNodeSDKTestTask", "commandLine": "cmd /c echo hello"},
    "node2020-create_a_task_with_container_settings": {"id": "ContainerJobNodeSDKTest", "poolInfo": {"poolId": "x"}},
    "node2020-fail_to_evaluate_invalid_autoscale_formula": {"autoScaleFormula": "something_useless"},
    "node2020-patch_a_job_schedule": {"jobSpecification": {"poolInfo": {"poolId": "x"}}},
    "node2020-update_a_job_schedule": {"jobSpecification": {"poolInfo": {"poolId": "x"}}},
    "node2020-upload_pool_node_logs_at_paas_pool": {
        "containerUrl": "http://127.0.0.1:9/logs?sig=x",
        "startTime": "2020-01-01T00:00:00Z",
    },
}
# What must have happened before a recording begins, beside the creation of what it names.
BEFORE = {
    "node2020-enable_a_job": ("POST", "/jobs/HelloWorldJobNodeSDKTest/disable", {"disableTasks": "requeue"}),
    "node2020-fail_to_delete_a_non-existant_pool": ("DELETE", "/pools/nodesdktestpool1", None),
    "node2020-stop_pool_resizing": ("POST", "/pools/nodesdktestpool2/resize", {"targetDedicatedNodes": 1}),
}
LISTED = {
    "node2020-list_pools_according_to_filter": [("pools", "nodesdktestpool1")],
    "node2020-list_job_schedules": [("jobschedules", "NodeSDKTestSchedule")],
}
AUTOSCALED = {"node2020-fail_to_evaluate_invalid_autoscale_formula"}


class Session:
    """One recording on its way: ids mapped, what it takes for granted made first."""

    def __init__(self, name: str, raw, until) -> None:
        self.name, self.raw, self.until = name, raw, until
        self.exchanges = existing(name)["exchanges"]
        self.text = json.dumps(self.exchanges)
        self.suffix = f"-{NAMES.index(name)}"
        self.nodes: dict[str, str] = {}
        self.made: set[tuple[str, str]] = set()

    def ids(self) -> set[str]:
        """The ids of pools, jobs and schedules the recording names."""
        found = {name for _, name in LISTED.get(self.name, ())}
        for exchange in self.exchanges:
            parts = exchange["path"].strip("/").split("/")
            if parts[0] in ("pools", "jobs", "jobschedules"):
                body = self.body(exchange)
                given = [body["id"]] if len(parts) == 1 and isinstance(body, dict) else []
                found.update(unquote(part) for part in parts[1:2] + given)
        return found

    def map(self, text: str) -> str:
        text = text.replace("%2F", "/")
        for old in sorted(self.ids(), key=len, reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", old + self.suffix, text)
        for old, new in self.nodes.items():
            text = text.replace(old, new)
        return text

    def body(self, exchange: dict) -> dict | None:
        if exchange["requestBody"] is None and exchange["method"] in ("POST", "PUT", "PATCH") and exchange["n"] == 0:
            return BODIES.get(self.name)
        if exchange["requestBody"] is None and self.name == "node2020-create_a_task_with_container_settings":
            return {"id": "ContainerTask", "commandLine": "x"} if exchange["n"] == 1 else None
        return exchange["requestBody"]

    def send(self, method: str, path: str, query: str, body: object = None):
        if isinstance(body, dict):
            body = json.loads(self.map(json.dumps(modern(body))))
        pairs = [(name, value) for name, value in parse_qsl(query) if name != "$skiptoken"]
        query = self.map(urlencode(pairs, quote_via=quote, safe="$,'()"))
        head, files, name = self.map(path).partition("/files/")
        return self.raw(method, head + files + name.replace("/", "%2F"), body, query=query)

    # --- what is taken for granted

    def prepare(self) -> None:
        for exchange in self.exchanges:
            parts = [unquote(part) for part in exchange["path"].strip("/").split("/")]
            body = self.body(exchange)
            if len(parts) == 1 and exchange["method"] == "POST" and exchange["status"] == 201:
                self.made.add((parts[0], body["id"]))
            elif len(parts) == 3 and exchange["method"] == "POST" and parts[2] == "tasks":
                self._make("jobs", parts[1])
                self.made.add((f"jobs/{parts[1]}/tasks", body["id"]))
            elif len(parts) > 1 and parts[0] in MAKE and exchange["status"] != 404:
                self._make(parts[0], parts[1])
                if parts[2:3] == ["tasks"] and len(parts) > 3:
                    self._make(f"jobs/{parts[1]}/tasks", parts[3])
        if "maxresults=1" in self.text:
            self._make("pools", f"one{self.suffix}")
            self._make("pools", f"two{self.suffix}")
        for kind, name in LISTED.get(self.name, ()):
            self._make(kind, name)
        if self.name in BEFORE:
            method, path, body = BEFORE[self.name]
            self.send(method, path, "api-version=2025-06-01", body)

    def _make(self, kind: str, name: str) -> None:
        if (kind, name) in self.made:
            return
        self.made.add((kind, name))
        body = {**MAKE[kind.split("/")[-1]], **self._shown(kind, name), "id": name}
        if kind == "jobs":
            pools = [made for where, made in self.made if where == "pools"]
            body["poolInfo"] = {"poolId": pools[0] if pools else "nowhere"}
        if kind == "pools":
            recorded = re.findall(rf"/pools/{re.escape(name)}/nodes/(tvmps_[0-9a-f]+_\w)", self.text)
            body["targetDedicatedNodes"] = len(set(recorded))
            if self.name in AUTOSCALED:
                del body["targetDedicatedNodes"]
                body |= {"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes=0"}
        version = "api-version=2020-03-01.11.0" if "maxTasksPerNode" in body else "api-version=2024-02-01.19.0"
        answer = self.send("POST", f"/{kind}", version, body)
        if answer.status == 501:
            pytest.skip(f"the session begins with what this emulator refuses by name: {answer.body.decode()[:200]}")
        assert answer.status == 201, answer
        if kind == "pools" and recorded:
            self._wait_for_nodes(name, sorted(set(recorded), key=recorded.index))

    def _shown(self, kind: str, name: str) -> dict:
        """What the recording's own reads say of the resource, as far as it can be given."""
        for exchange in self.exchanges:
            found = exchange["responseBody"]
            items = found.get("value", [found]) if isinstance(found, dict) and exchange["method"] == "GET" else []
            for item in items:
                if item.get("id") == name and kind in WRITABLE and "url" in item and "state" in item:
                    future = json.dumps({key: item[key] for key in WRITABLE[kind] if key in item})
                    body = json.loads(future.replace("2020-12-25", "2099-12-25"))
                    for user in body.get("userAccounts", []):
                        user["password"] = "secret"
                    for start in [body["startTask"]] if "startTask" in body else []:
                        start["commandLine"] = "/bin/sh -c 'echo hello > hello.txt'"
                    return body
        if kind == "pools" and ("startup%2Fwd%2Fhello.txt" in self.text or '"startTaskInfo"' in self.text):
            return {"startTask": {"commandLine": "/bin/sh -c 'echo hello > hello.txt'"}}
        return {}

    def _wait_for_nodes(self, pool: str, recorded: list[str]) -> None:
        def ready() -> list[str]:
            nodes = self.send("GET", f"/pools/{pool}/nodes", "api-version=2025-06-01").json["value"]
            pool_state = self.send("GET", f"/pools/{pool}", "api-version=2025-06-01").json["allocationState"]
            up = [node["id"] for node in nodes if node["state"] == "idle"]
            return up if pool_state == "steady" and len(up) == len(recorded) else []

        self.nodes |= dict(zip(recorded, self.until(ready), strict=True))
        for exchange in self.exchanges:
            if exchange["path"].endswith("/enablescheduling") and exchange["n"] == 0:
                path = exchange["path"].replace("/enable", "/disable")
                self.send("POST", path, "api-version=2025-06-01", {"nodeDisableSchedulingOption": "requeue"})

    def forget(self) -> None:
        """Delete what the session has made, so that lists stay short."""
        for kind, name in self.made:
            if kind in ("pools", "jobs", "jobschedules"):
                self.send("DELETE", f"/{kind}/{name}", "api-version=2025-06-01")

    # --- the recorded exchanges

    def run(self) -> list[str]:
        """Send every exchange; the differences found."""
        found = []
        for exchange, following in zip(self.exchanges, [*self.exchanges[1:], None], strict=True):
            if (self.name, exchange["n"]) in EXCUSED or same_read(exchange, following):
                continue
            if exchange["path"].endswith("/resize"):
                self._wait_until_steady(exchange["path"].removesuffix("/resize"))
            if exchange["path"].endswith("/stopresize"):
                self._keep_resizing(exchange["path"].removesuffix("/stopresize"))
            deadline = time.monotonic() + 1
            while True:
                answer = self.send(exchange["method"], exchange["path"], exchange["query"], self.body(exchange))
                differences = list(self.compare(exchange, answer))
                if not differences or exchange["method"] not in ("GET", "HEAD") or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            found += [f"{exchange['n']} {exchange['method']} {exchange['path']}: {text}" for text in differences]
        return found

    def _wait_until_steady(self, pool: str) -> None:
        """As the recorder had waited before the next request."""
        query = "api-version=2025-06-01&$select=allocationState"
        self.until(lambda: self.send("GET", pool, query).json["allocationState"] == "steady")

    def _keep_resizing(self, pool: str) -> None:
        """Nodes come at once here: if the recorded resize has ended already, begin another one to be stopped."""
        query = "api-version=2025-06-01"
        shown = self.send("GET", pool, query).json
        if shown["allocationState"] == "steady":
            body = {"targetDedicatedNodes": shown["targetDedicatedNodes"] + 1}
            assert self.send("POST", f"{pool}/resize", query, body).status == 202

    def compare(self, exchange: dict, answer):
        if answer.status != exchange["status"]:
            yield f"status {answer.status} for {exchange['status']}: {answer.body.decode()[:300]}"
            return
        want = {name for name in exchange["responseHeaders"] if name in COMPARED_HEADERS}
        have = {name for name in answer.headers if name in COMPARED_HEADERS}
        have -= EXCUSED_HEADERS.get((self.name, exchange["n"]), set())
        if self.name.startswith(("ps2024", "sdk2026")):
            have &= want  # the transcription kept only some
        if (exchange["method"] == "HEAD" and "content-length" not in want) or answer.status == 204:
            want -= FRAMING
            have -= FRAMING
        if "ocp-batch-file-mode" not in want:
            have.discard("ocp-batch-file-mode")  # Windows
        if want != have:
            yield f"headers {sorted(have - want)} too many, {sorted(want - have)} missing"
        recorded = exchange["responseBody"]
        if isinstance(recorded, dict):
            shown = answer.json
            if recorded.get("code") != shown.get("code"):
                yield f"code {shown.get('code')} for {recorded.get('code')}"
            yield from differences_of(self.own(recorded, recorded), self.own(shown, recorded))

    def own(self, body: dict, recorded: dict) -> dict[str, str]:
        """The shape of a body, of a list's entries only those the session has made."""
        if "code" in body:
            return shape({**body, "values": sorted(entry["key"] for entry in body.get("values", []))})
        if "value" not in body:
            return shape(body)
        if "odata.nextLink" in recorded:
            return shape({key: item for key, item in body.items() if key != "value"})
        ids = {name + self.suffix for name in self.ids()} | self.ids()
        named = [entry for entry in body["value"] if entry.get("id", entry.get("poolId")) in ids]
        kept = named if "poolId" in str(recorded)[:400] or named else body["value"]
        return shape({**body, "value": kept})


def same_read(exchange: dict, following: dict | None) -> bool:
    """A read that the recorder repeated while it waited: only the last of them is sent."""
    if following is None or exchange["method"] != "GET":
        return False
    return (exchange["path"], exchange["query"]) == (following["path"], following["query"])


def modern(body: object) -> object:
    """The request without retired properties."""
    if isinstance(body, list):
        return [modern(item) for item in body]
    if not isinstance(body, dict):
        return body
    kept = {key: modern(item) for key, item in body.items() if key not in MAPPED}
    return kept | ({"virtualMachineConfiguration": VM} if "cloudServiceConfiguration" in body else {})


def differences_of(want: dict[str, str], have: dict[str, str]):
    for path in sorted(want.keys() - have.keys()):
        yield f"body lacks {path} ({want[path]})"
    for path in sorted(have.keys() - want.keys()):
        yield f"body has {path} ({have[path]}) too"
    for path in sorted(want.keys() & have.keys()):
        if want[path] != have[path]:
            yield f"body has {have[path]} for {want[path]} at {path}"


@pytest.fixture(scope="session")
def applications(emulator):
    """The applications the recorded accounts had."""
    for name in ("application_id", "my_application_id"):
        (emulator.state / "applications" / name / "v1.0").mkdir(parents=True)


@pytest.mark.recorded("each of the shared recordings")
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_a_recorded_session_goes_as_recorded(raw, until, applications, ledger, name):
    if not NAMES:
        pytest.skip("needs ../shared: clone the project with shared/ beside it")
    session = Session(name, raw, until)
    if all((name, exchange["n"]) in EXCUSED for exchange in session.exchanges):
        return
    test, mark = ledger.test, ledger.mark
    try:
        ledger.begin(test, "")  # what is taken for granted was not recorded
        session.prepare()
        ledger.begin(test, mark)
        found = session.run()
    finally:
        ledger.begin(test, "")
        session.forget()
    assert not found, "\n".join(found)
