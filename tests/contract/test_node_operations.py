"""What can be asked of a node beside reboot and scheduling: users, logins, logs, extensions, deallocation, reimage."""

from __future__ import annotations

import http.server
import threading
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from reconciler.emulator import Emulator


@pytest.fixture
def node(client, make_pool):
    """A pool of one node, and the node's id."""
    pool_id = make_pool(1)
    [found] = client.list_nodes(pool_id)
    return pool_id, found.id


@pytest.mark.recorded("py2018-compute_node_user")
def test_a_user_is_made_changed_and_deleted(client, node):
    client.create_node_user(*node, {"name": "alice", "isAdmin": True, "password": "secret"})
    with pytest.raises(ResourceExistsError) as refused:
        client.create_node_user(*node, {"name": "Alice", "password": "secret"})
    assert refused.value.error.code == "NodeUserExists"
    client.replace_node_user(*node, "alice", {"sshPublicKey": "c3NoLXJzYQ=="})
    client.delete_node_user(*node, "alice")
    with pytest.raises(ResourceNotFoundError) as missing:
        client.delete_node_user(*node, "alice")
    assert missing.value.error.code == "NodeUserNotFound"


@pytest.mark.documented("M:BatchNodeUserCreateOptions")
@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        ({"password": "x"}, "MissingRequiredProperty", "name"),
        ({"name": "a b"}, "InvalidPropertyValue", "name"),
        ({"name": "a", "expiryTime": "tomorrow"}, "InvalidPropertyValue", "expiryTime"),
        ({"name": "a", "shell": "/bin/sh"}, "UnsupportedProperty", "shell"),
    ],
)
def test_a_user_that_makes_no_sense_is_refused(raw, node, body, code, name):
    answer = raw("POST", f"/pools/{node[0]}/nodes/{node[1]}/users", body)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)


@pytest.mark.documented("M:BatchNodeUserCreateOptions.expiryTime")
def test_an_expired_user_is_gone_and_secrets_are_not_kept(client, node, emulator):
    past = datetime.now(UTC) - timedelta(seconds=1)
    client.create_node_user(*node, {"name": "bob", "password": "hunter-2", "expiryTime": past.isoformat()})
    client.create_node_user(*node, {"name": "bob", "password": "hunter-2"})
    kept = b"".join(path.read_bytes() for path in emulator.state.glob("account.sqlite*"))
    assert b'"bob"' in kept
    assert b"hunter-2" not in kept


@pytest.mark.openapi
def test_login_settings_name_the_endpoint_the_node_shows(client, node):
    settings = client.get_node_remote_login_settings(*node)
    [endpoint] = client.get_node(*node).endpoint_configuration.inbound_endpoints
    assert settings.remote_login_ip_address == endpoint.public_ip_address
    assert settings.remote_login_port == endpoint.frontend_port


@pytest.mark.emulator_only
def test_extensions_are_those_the_pool_names(client, make_pool, node, vm):
    assert list(client.list_node_extensions(*node)) == []
    with pytest.raises(ResourceNotFoundError):
        client.get_node_extension(*node, "monitor")
    machine = vm["virtualMachineConfiguration"]
    extension = {"name": "monitor", "publisher": "p", "type": "t", "protectedSettings": {"key": "secret"}}
    pool_id = make_pool(1, virtualMachineConfiguration={**machine, "extensions": [extension]})
    [own] = client.list_nodes(pool_id)
    [shown] = client.list_node_extensions(pool_id, own.id)
    assert (shown.vm_extension.name, shown.vm_extension.protected_settings) == ("monitor", None)
    assert client.get_node_extension(pool_id, own.id, "Monitor").vm_extension.publisher == "p"


@pytest.fixture
def container():
    """A server that takes blobs as a storage account does, and the blobs by path."""
    blobs = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            kind = self.headers["x-ms-blob-type"]
            blobs[self.path] = kind, self.rfile.read(int(self.headers["content-length"]))
            self.send_response(201)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/logs?sig=x", blobs
        server.shutdown()
        thread.join()


@pytest.mark.recorded("py2018-compute_nodes")
def test_logs_of_the_asked_time_are_uploaded(client, make_pool, until, container):
    url, blobs = container
    pool_id = make_pool(1, startTask={"commandLine": "/bin/echo ready"})
    [own] = client.list_nodes(pool_id)
    before = {"containerUrl": url, "startTime": "2020-01-01T00:00:00Z", "endTime": "2020-01-02T00:00:00Z"}
    assert client.upload_node_logs(pool_id, own.id, before).number_of_files_uploaded == 0
    result = client.upload_node_logs(pool_id, own.id, {"containerUrl": url, "startTime": "2020-01-01T00:00:00Z"})
    assert result.number_of_files_uploaded == 2
    assert result.virtual_directory_name.split("/")[1:3] == [pool_id, own.id]
    until(lambda: len(blobs) == 2)
    assert blobs[f"/logs/{result.virtual_directory_name}/stdout.txt?sig=x"] == ("BlockBlob", b"ready\n")


@pytest.mark.documented("E:BatchNodeState.deallocated, O:start_node")
def test_a_deallocated_node_runs_nothing_until_it_is_started(client, make_pool, make_job, until, finished):
    boots = {"commandLine": "/bin/sh -c 'echo x >> $AZ_BATCH_NODE_SHARED_DIR/boots'"}
    pool_id = make_pool(1, startTask=boots)
    [own] = client.list_nodes(pool_id)
    with pytest.raises(ResourceExistsError) as refused:
        client.begin_start_node(pool_id, own.id, polling_interval=0)
    assert refused.value.error.code == "OperationNotValidOnNode"
    client.begin_deallocate_node(pool_id, own.id, {"nodeDeallocateOption": "requeue"}, polling_interval=0).wait()
    assert client.get_node(pool_id, own.id).state == "deallocated"
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    [counts] = client.list_pool_node_counts(filter=f"poolId eq '{pool_id}'")
    assert counts.dedicated.deallocated == 1
    assert client.get_task(job_id, "t").state == "active"
    client.begin_start_node(pool_id, own.id, polling_interval=0)
    finished(job_id, "t")
    assert client.get_node_file_properties(pool_id, own.id, "shared/boots").content_length == 4


@pytest.mark.recorded("node2020-reimage_a_compute_node")
def test_reimage_where_it_is_accepted_begins_anew_on_an_empty_disk(tmp_path, client_for, raw_for, until, vm):
    with (
        Emulator(state=tmp_path, switches={"reimage_is_accepted": "true"}) as emulator,
        client_for(emulator) as client,
    ):
        start = {"commandLine": "/bin/sh -c 'echo x >> $AZ_BATCH_NODE_SHARED_DIR/boots'"}
        client.create_pool({"id": "p", **vm, "targetDedicatedNodes": 1, "startTask": start})
        until(lambda: [node.state for node in client.list_nodes("p")] == ["idle"])
        [own] = client.list_nodes("p")
        answer = raw_for(emulator)("POST", f"/pools/p/nodes/{own.id}/reimage", {"nodeReimageOption": "terminate"})
        assert answer.status == 202
        assert client.get_node("p", own.id).state == "reimaging"
        until(lambda: client.get_node("p", own.id).state == "idle")
        assert client.get_node_file_properties("p", own.id, "shared/boots").content_length == 2
