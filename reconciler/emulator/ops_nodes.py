"""Operations on compute nodes: request in, answer out."""

from __future__ import annotations

from reconciler.emulator import machines, node_logs, node_users, pools, views
from reconciler.emulator.errors import refuse
from reconciler.emulator.node_bodies import LOGS
from reconciler.emulator.records import Node, fold
from reconciler.emulator.schema import read_body
from reconciler.emulator.times import parse_iso
from reconciler.emulator.wire import Answer, Api, Json, Request, listing, new_request_id, single, written

_ENTITIES = "Microsoft.Azure.Batch.Protocol.Entities"


def _node(api: Api, request: Request) -> Node:
    return machines.find(api.w, pools.find(api.w, request.values["poolId"]), request.values["nodeId"])


def list_all(api: Api, request: Request) -> Answer:
    pool = pools.find(api.w, request.values["poolId"])
    nodes = api.w.nodes_of_pool[pool.key].values()
    items = [(node.key, lambda node=node: views.node(api.w, node, request.base)) for node in nodes]
    return listing(request, "nodes", "nodes", items)


def get(api: Api, request: Request) -> Answer:
    return single(request, "nodes", views.node(api.w, _node(api, request), request.base))


def reboot(api: Api, request: Request) -> Answer:
    machines.reboot_by_request(api.w, _node(api, request), request.json())
    return written(request, 202)


def reimage(api: Api, request: Request) -> Answer:
    machines.reimage_by_request(api.w, _node(api, request), request.json())
    return written(request, 202)


def deallocate(api: Api, request: Request) -> Answer:
    machines.deallocate_by_request(api.w, _node(api, request), request.json())
    return written(request, 202)


def start(api: Api, request: Request) -> Answer:
    machines.start_by_request(api.w, _node(api, request))
    return written(request, 202)


def disable_scheduling(api: Api, request: Request) -> Answer:
    machines.disable_scheduling(api.w, _node(api, request), request.json())
    return written(request, 200)


def enable_scheduling(api: Api, request: Request) -> Answer:
    machines.enable_scheduling(api.w, _node(api, request))
    return written(request, 200)


# --- users


def create_user(api: Api, request: Request) -> Answer:
    """DataServiceId and Location name the user (R18:compute_node_user)."""
    node = _node(api, request)
    name = node_users.create(api.w, node, request.json())
    url = f"{request.base}/pools/{api.w.pools[node.pool].id}/nodes/{node.id}/users/{name}"
    return Answer(201, headers={"DataServiceId": url, "Location": url})


def replace_user(api: Api, request: Request) -> Answer:
    node_users.replace(api.w, _node(api, request), request.values["userName"], request.json())
    return written(request, 200)


def delete_user(api: Api, request: Request) -> Answer:
    """No DataServiceId (R18:compute_node_user)."""
    node_users.delete(api.w, _node(api, request), request.values["userName"])
    return Answer(200)


def remote_login_settings(api: Api, request: Request) -> Answer:
    """Where a login would go. Nothing listens there: nodes are this machine, and no login is made on it."""
    endpoint = views.login_endpoint(_node(api, request))
    settings = {"remoteLoginIPAddress": endpoint["publicIPAddress"], "remoteLoginPort": endpoint["frontendPort"]}
    metadata = f"{request.base}/$metadata#{_ENTITIES}.ComputeNodeGetRemoteLoginSettingsResult"
    return Answer(200, {"odata.metadata": metadata, **settings})


# --- logs


def upload_logs(api: Api, request: Request) -> Answer:
    """The answer tells how many files will be uploaded, and where (R18:compute_nodes); the upload follows."""
    node = _node(api, request)
    body = read_body(LOGS, request.json())
    end = parse_iso(body["endTime"]) if "endTime" in body else None
    pool_id = api.w.pools[node.pool].id
    logs = node_logs.find(api.nodes.root(pool_id, node.id), parse_iso(body["startTime"]), end)
    folder = f"{api.w.account.name}/{pool_id}/{node.id}/{new_request_id()}"
    node_logs.upload(logs, body["containerUrl"], folder)
    metadata = f"{request.base}/$metadata#{_ENTITIES}.UploadBatchServiceLogsResult"
    result = {"virtualDirectoryName": folder, "numberOfFilesUploaded": len(logs)}
    return Answer(200, {"odata.metadata": metadata, **result})


# --- extensions


def list_extensions(api: Api, request: Request) -> Answer:
    """Those the pool names. They are shown without an instance view, since nothing is installed here."""
    items = [(fold(item["name"]), lambda item=item: {"vmExtension": item}) for item in _extensions(api, request)]
    return listing(request, "nodevmextensions", "extensions", items)


def _extensions(api: Api, request: Request) -> list[Json]:
    pool = api.w.pools[_node(api, request).pool]
    found: list[Json] = pool.spec["virtualMachineConfiguration"].get("extensions", [])
    return found


def get_extension(api: Api, request: Request) -> Answer:
    """404 for a name the pool does not give; which code the service uses there is INFERRED."""
    wanted = fold(request.values["extensionName"])
    for item in _extensions(api, request):
        if fold(item["name"]) == wanted:
            return single(request, "extensions", {"vmExtension": item})
    raise refuse("ResourceNotFound")
