"""Usage metrics of pools, over HTTP on the simulated clock. What rests on no source is said in `usage`."""

from __future__ import annotations

import pytest

from reconciler.emulator import Emulator, Simulation
from reconciler.emulator.vm_sizes import cores

START = "2026-01-01T00:00:00Z"


@pytest.fixture
def batch():
    with Simulation(start=START) as made:
        yield made


@pytest.fixture
def make(batch, vm):
    def ask(pool_id="p", dedicated=0, low_priority=0, size="Standard_D4s_v3"):
        counts = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low_priority}
        assert batch.request("POST", "/pools", {"id": pool_id, **vm, "vmSize": size, **counts}).status == 201

    return ask


def read(batch, query=""):
    """Pool, first and last minute, size and core hours of each entry."""
    found = []
    for entry in batch.get("/poolusagemetrics", query)["value"]:
        assert set(entry) == {"poolId", "startTime", "endTime", "vmSize", "totalCoreHours"}
        hours = round(entry["totalCoreHours"], 2)
        found.append((entry["poolId"], entry["startTime"][11:16], entry["endTime"][11:16], entry["vmSize"], hours))
    return found


@pytest.mark.documented("O:list_pool_usage_metrics: without bounds only the last interval available is returned")
def test_core_hours_are_told_by_pool_and_interval_two_hours_later(batch, make):
    make("p", 2)
    make("idle")
    batch.advance(hours=2, minutes=29)
    assert read(batch) == []
    batch.advance(minutes=1)
    first = [("idle", "00:00", "00:30", "standard_d4s_v3", 0.0), ("p", "00:00", "00:30", "standard_d4s_v3", 4.0)]
    assert read(batch) == first
    batch.advance(minutes=30)
    assert [entry[1] for entry in read(batch)] == ["00:30", "00:30"]
    assert read(batch, "startTime=2026-01-01T00:00:00Z&endtime=2026-01-01T00:30:00Z") == first


@pytest.mark.documented("O:list_pool_usage_metrics: $filter on poolId, startTime, endTime; maxresults")
def test_metrics_are_filtered_bounded_and_paged(batch, make):
    make("a", 1)
    make("b", 1)
    batch.advance(hours=4)
    everything = read(batch, "startTime=2026-01-01T00:00:00Z")
    assert [(name, begin) for name, begin, *_ in everything] == [
        (name, begin) for begin in ("00:00", "00:30", "01:00", "01:30") for name in ("a", "b")
    ]
    assert read(batch, "$filter=startTime ge DateTime'2026-01-01T00:00:00Z'") == everything
    assert read(batch, "$filter=poolId eq 'a'") == everything[6:7]
    assert read(batch, "$filter=poolId eq 'b' and endTime le DateTime'2026-01-01T01:00:00Z'") == everything[1:4:2]
    page = batch.get("/poolusagemetrics", "startTime=2026-01-01T00:00:00Z&maxresults=3")
    assert len(page["value"]) == 3
    rest = batch.get("/poolusagemetrics", page["odata.nextLink"].split("?", 1)[1])
    assert (
        page["value"] + rest["value"] == batch.get("/poolusagemetrics", "startTime=2026-01-01T00:00:00Z")["value"][:6]
    )


@pytest.mark.documented("O:list_pool_usage_metrics: startTime at least two and a half hours ago, endTime two hours")
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("startTime=2026-01-01T02:31:00Z", "startTime"),
        ("endtime=2026-01-01T03:01:00Z", "endtime"),
        ("startTime=2026-01-01T02:00:00Z&endtime=2026-01-01T01:00:00Z", "endtime"),
        ("startTime=soon", "startTime"),
    ],
)
def test_bounds_that_are_too_late_or_make_no_sense_are_refused(batch, query, name):
    batch.advance(hours=5)
    answer = batch.request("GET", "/poolusagemetrics", query=query)
    assert (answer.status, answer.body["code"]) == (400, "InvalidQueryParameterValue")
    assert {"key": "QueryParameterName", "value": name} in answer.body["values"]


@pytest.mark.emulator_only
def test_nodes_count_only_while_they_are_there_and_deleted_pools_are_remembered(batch, make):
    make("p", 1, 1)
    batch.run_until_idle()
    spot = next(node["id"] for node in batch.get("/pools/p/nodes")["value"] if not node["isDedicated"])
    own = next(node["id"] for node in batch.get("/pools/p/nodes")["value"] if node["isDedicated"])
    batch.advance(minutes=15)
    batch.preempt_node("p", spot, seconds=3600)
    assert batch.request("POST", f"/pools/p/nodes/{own}/deallocate", {}).status == 202
    batch.advance(minutes=30)
    assert batch.request("POST", f"/pools/p/nodes/{own}/start").status == 202
    batch.advance(minutes=30)
    assert batch.request("DELETE", "/pools/p").status == 202
    batch.advance(hours=5)
    size = "standard_d4s_v3"
    assert read(batch, "startTime=2026-01-01T00:00:00Z") == [
        ("p", "00:00", "00:30", size, 2.0),
        ("p", "00:30", "01:00", size, 1.0),
        ("p", "01:00", "01:30", size, 1.0),
    ]


@pytest.mark.emulator_only
def test_usage_survives_a_restart(tmp_path, client_for, raw_for, vm, until):
    with Emulator(state=tmp_path) as running:
        with client_for(running) as client:
            client.create_pool({"id": "p", **vm, "targetDedicatedNodes": 1})
            until(lambda: [node.state for node in client.list_nodes("p")] == ["idle"])
            client._delete_pool_internal("p")
            until(lambda: raw_for(running)("GET", "/pools/p").status == 404)
        running.kill()
        running.restart()
        assert raw_for(running)("GET", "/poolusagemetrics").json["value"] == []  # not two hours old yet
    from reconciler.emulator.store import SqliteStore

    rows, _ = SqliteStore(tmp_path / "account.sqlite").load()
    assert [row["pool_id"] for row in rows["usages"].values()] == ["p"]
    assert sum(row["node_ticks"] for row in rows["usages"].values()) > 0


@pytest.mark.documented("D:vm-naming-conventions, D:sizes-previous-gen")
@pytest.mark.parametrize(
    ("size", "count"),
    [
        *[("Standard_D2_v3", 2), ("standard_d4s_v3", 4), ("STANDARD_D2_v2", 2), ("Standard_D14_v2", 16), ("small", 1)],
        *[("Standard_DS13", 8), ("Standard_A8", 8), ("Standard_A8_v2", 8), ("Standard_A2m_v2", 2), ("Basic_A3", 4)],
        *[("Standard_G5", 32), ("Standard_F16s_v2", 16), ("Standard_NC24r", 24), ("Standard_HB120-16rs_v3", 16)],
        *[("Standard_E64i_v3", 64), ("Standard_M8-2ms", 2), ("Standard_NC4as_T4_v3", 4), ("Standard_DS3_v2", 4)],
        *[("a", None), ("custom", None), ("Standard_X", None), ("Standard_D15_v2", 20), ("ExtraLarge", 8)],
    ],
)
def test_the_cores_of_a_size_are_read_from_its_name(size, count):
    assert cores(size) == count


@pytest.mark.documented("M:BatchPool.taskSlotsPerNode: at most four times the cores of the size, or 256")
def test_more_slots_than_four_a_core_are_refused(batch, vm):
    body = {"id": "p", **vm, "vmSize": "Standard_D2_v3", "taskSlotsPerNode": 9}
    answer = batch.request("POST", "/pools", body)
    assert (answer.status, answer.body["code"]) == (400, "InvalidPropertyValue")
    assert {"key": "PropertyName", "value": "taskSlotsPerNode"} in answer.body["values"]
    assert batch.request("POST", "/pools", body | {"taskSlotsPerNode": 8}).status == 201
    batch.run_until_idle()
    assert batch.request("PATCH", "/pools/p", {"vmSize": "Standard_D1_v2"}).status == 400
    assert batch.request("PATCH", "/pools/p", {"vmSize": "Standard_D1_v2", "taskSlotsPerNode": 4}).status == 200
    assert batch.get("/pools/p")["taskSlotsPerNode"] == 4
