"""Adopting what is there and belongs to nobody, and leaving it to others again."""

from typing import Any

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

from tests.e2e.test_schedules import STAYS

MACHINE = {
    "imageReference": {"publisher": "canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
    "nodeAgentSKUId": "batch.node.ubuntu 22.04",
}


@pytest.fixture
def portal(bench: Any) -> Any:
    """The SDK's client, in the place of a person in the portal."""
    emulator = bench.emulator
    with BatchClient(emulator.endpoint, AzureNamedKeyCredential(emulator.account, emulator.key)) as client:
        yield client


def by_hand(portal: BatchClient, **pool: Any) -> None:
    portal.create_pool(
        {
            "id": "p",
            "vmSize": "standard_d2s_v3",
            "virtualMachineConfiguration": MACHINE,
            "targetDedicatedNodes": 2,
            "metadata": [{"name": "team", "value": "x"}],
            **pool,
        }
    )


def test_an_imported_pool_is_adopted_and_plans_empty(bench: Any, portal: BatchClient) -> None:
    by_hand(portal)
    bench.write(job=None, pool=bench.run("import", "pool/p").out)
    before = bench.run("plan", str(bench.folder))
    assert "pool/p: blocked: pool/p exists and is not marked as any stack's: remove it, adopt it" in before.out
    asked = bench.run("adopt", "pool/p", "--manifests", str(bench.folder), stdin="no\n")
    assert asked.code == 1
    assert "Nothing was changed." in asked.out
    done = bench.run("adopt", "pool/p", "--manifests", str(bench.folder), stdin="yes\n")
    assert done.code == 0, done.out + done.err
    assert "~ pool/p: adopt into stack 's'" in done.out
    assert "pool/p: adopted" in done.out
    assert bench.apply().code == 0
    after = bench.run("plan", str(bench.folder), "--detailed-exitcode")
    assert after.code == 0, after.out
    metadata = {item.name: item.value for item in portal.get_pool("p").metadata}
    assert metadata["team"] == "x"
    assert "stack=s" in metadata["reconciler"]


def test_what_differs_is_told_and_left_for_apply(bench: Any, portal: BatchClient) -> None:
    by_hand(portal)
    bench.write(job=None)
    done = bench.run("adopt", "pool/p", "--manifests", str(bench.folder), "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert "afterwards apply would: update" in done.out
    assert "metadata differs" in done.out
    assert [item.name for item in portal.get_pool("p").metadata] == ["team", "reconciler"]


def test_what_cannot_be_adopted_is_refused_by_name_and_nothing_is_sent(bench: Any, portal: BatchClient) -> None:
    by_hand(portal)
    bench.write(pool=None)
    before = bench.last_request
    undeclared = bench.run("adopt", "pool/p", "--manifests", str(bench.folder), "--auto-approve")
    assert undeclared.code == 64
    assert "no manifest declares pool/p" in undeclared.err
    absent = bench.run("adopt", "job/j", "--manifests", str(bench.folder), "--auto-approve")
    assert absent.code == 1
    assert "job/j: there is no such object" in absent.out
    portal.create_job({"id": "j", "poolInfo": {"poolId": "p"}})
    portal.begin_terminate_job("j", {"terminateReason": "done"}, polling_interval=0).result()
    ended = bench.run("adopt", "job/j", "--manifests", str(bench.folder), "--auto-approve")
    assert ended.code == 1
    assert "completed" in ended.out
    ours = [line for line in bench.writes(before) if line not in ("POST /jobs", "POST /jobs/j/terminate")]
    assert ours == []


def test_a_schedule_and_a_job_are_adopted_together(bench: Any, portal: BatchClient) -> None:
    by_hand(portal)
    portal.create_job({"id": "j", "poolInfo": {"poolId": "p"}})
    portal.create_job_schedule(
        {
            "id": "etl",
            "schedule": {"recurrenceInterval": "PT1H"},
            "jobSpecification": {"poolInfo": {"poolId": "p"}},
        }
    )
    bench.write(job=bench.run("import", "job/j").out, pool=None, etl=bench.run("import", "jobschedule/etl").out)
    done = bench.run("adopt", "job/j", "jobschedule/etl", "--manifests", str(bench.folder), "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert bench.apply().code == 0
    assert bench.run("plan", str(bench.folder), "--detailed-exitcode").code == 0


def test_an_object_of_another_stack_is_not_adopted(bench: Any) -> None:
    assert bench.apply("--no-wait").code == 0
    bench.write(stack="apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: other}\n")
    refused = bench.run("adopt", "pool/p", "--manifests", str(bench.folder), "--auto-approve")
    assert refused.code == 1
    assert "owned by stack 's'" in refused.out


def test_an_orphaned_object_is_left_as_it_is_and_is_nobodys(bench: Any, portal: BatchClient) -> None:
    bench.write(etl=STAYS, job=None)
    assert bench.apply().code == 0
    done = bench.run("orphan", "jobschedule/etl", "pool/p", stdin="yes\n")
    assert done.code == 0, done.out + done.err
    assert "take off the mark of stack 's'" in done.out
    assert "jobschedule/etl: orphaned" in done.out
    assert not portal.get_pool("p").metadata
    assert portal.get_pool("p").current_dedicated_nodes == 2
    bench.write(etl=None, pool=None)
    planned = bench.run("plan", str(bench.folder), "--detailed-exitcode")
    assert planned.code == 0, planned.out
    again = bench.run("orphan", "pool/p", "--auto-approve")
    assert again.code == 1
    assert "it belongs to no stack" in again.out
