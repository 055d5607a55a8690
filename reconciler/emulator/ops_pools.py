"""Operations on pools, and the account's lists of images and node counts: request in, answer out."""

from __future__ import annotations

from collections import Counter

from reconciler.emulator import pools
from reconciler.emulator.expansion import show
from reconciler.emulator.records import Pool
from reconciler.emulator.wire import (
    Answer,
    Api,
    Json,
    Request,
    check_conditions,
    listing,
    single,
    version_headers,
    written,
)


def _pool(api: Api, request: Request) -> Pool:
    pool = pools.find(api.w, request.values["poolId"])
    check_conditions(request, pool.modified)
    return pool


def create(api: Api, request: Request) -> Answer:
    pool = pools.create(api.w, request.json(), legacy=request.legacy)
    url = f"{request.base}/pools/{pool.id}"
    headers = {"DataServiceId": url, "Location": url, **version_headers(pool.modified)}
    return Answer(201, headers=headers)


def list_all(api: Api, request: Request) -> Answer:
    items = [(pool.key, lambda pool=pool: show(api, request, pool)) for pool in api.w.pools.values()]
    return listing(request, "pools", "pools", items)


def get(api: Api, request: Request) -> Answer:
    pool = _pool(api, request)
    return single(request, "pools", show(api, request, pool), pool.modified)


def exists(api: Api, request: Request) -> Answer:
    return Answer(200, headers=version_headers(_pool(api, request).modified))


def patch(api: Api, request: Request) -> Answer:
    pool = _pool(api, request)
    pools.update(api.w, pool, request.json(), legacy=request.legacy)
    return written(request, 200, pool.modified)


def replace_properties(api: Api, request: Request) -> Answer:
    pool = pools.find(api.w, request.values["poolId"])
    pools.replace_properties(api.w, pool, request.json(), legacy=request.legacy)
    return written(request, 204, pool.modified)


def delete(api: Api, request: Request) -> Answer:
    pools.delete(api.w, _pool(api, request))
    return Answer(202)


def resize(api: Api, request: Request) -> Answer:
    pool = _pool(api, request)
    pools.resize(api.w, pool, request.json())
    return written(request, 202, pool.modified)


def stop_resize(api: Api, request: Request) -> Answer:
    pool = _pool(api, request)
    pools.stop_resize(api.w, pool)
    return written(request, 202, pool.modified)


def remove_nodes(api: Api, request: Request) -> Answer:
    pool = _pool(api, request)
    pools.remove_nodes(api.w, pool, request.json())
    return written(request, 202, pool.modified)


# --- the account

_COUNTED = (
    *("creating", "idle", "leavingPool", "offline", "preempted", "rebooting", "reimaging", "running", "starting"),
    *("startTaskFailed", "unusable", "unknown", "upgradingOS", "waitingForStartTask", "deallocated", "deallocating"),
)
_IMAGES = (
    ("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "batch.node.ubuntu 22.04"),
    ("canonical", "ubuntu-24_04-lts", "server", "batch.node.ubuntu 24.04"),
    ("debian", "debian-12", "12", "batch.node.debian 12"),
    ("almalinux", "almalinux-x86_64", "9-gen2", "batch.node.el 9"),
)


def node_counts(api: Api, request: Request) -> Answer:
    """Numbers of nodes by state, for every pool; ten to a page (O)."""
    items = [(pool.key, lambda pool=pool: _counts(api, pool)) for pool in api.w.pools.values()]
    return listing(request, "poolnodecounts", "nodecounts", items, most=10)


def _counts(api: Api, pool: Pool) -> Json:
    nodes = api.w.nodes_of_pool[pool.key].values()
    shown: Json = {"poolId": pool.id}
    for name, dedicated in (("dedicated", True), ("lowPriority", False)):
        states = Counter(node.state for node in nodes if node.dedicated == dedicated)
        shown[name] = {state: states[state.lower()] for state in _COUNTED} | {"total": states.total()}
    return shown


def supported_images(api: Api, request: Request) -> Answer:
    """A few current Linux images: nodes here are this machine, whatever a pool asks for."""
    items = [("/".join(image), lambda image=image: _image(*image)) for image in _IMAGES]
    return listing(request, "supportedimages", "supportedimages", items)


def _image(publisher: str, offer: str, sku: str, agent: str) -> Json:
    return {
        "nodeAgentSKUId": agent,
        "imageReference": {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest"},
        "osType": "linux",
        "verificationType": "verified",
    }
