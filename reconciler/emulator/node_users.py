"""User accounts of compute nodes: kept and answered for. No login is made on this machine, and no secret is kept.

Rules follow O:create_node_user, M:BatchNodeUserCreateOptions and R18:compute_node_user. There is no operation that
shows users, so what a client can see is that a name is taken, is not there, or has expired.
"""

from __future__ import annotations

from reconciler.emulator.errors import refuse
from reconciler.emulator.machines import check_ready
from reconciler.emulator.node_bodies import USER_CREATE, USER_REPLACE
from reconciler.emulator.records import Json, Node, fold
from reconciler.emulator.schema import read_body
from reconciler.emulator.times import DAY, parse_iso
from reconciler.emulator.world import World


def create(w: World, node: Node, body: object) -> str:
    """The user's name. Only on a node that is idle or running (O)."""
    new = read_body(USER_CREATE, body)
    check_ready(node)
    _forget_expired(w, node)
    name: str = new["name"]
    if fold(name) in node.users:
        raise refuse("NodeUserExists")
    _keep(w, node, name, new)
    return name


def replace(w: World, node: Node, name: str, body: object) -> None:
    """All properties that can be changed are replaced; those left out take their defaults (O:replace_node_user)."""
    new = read_body(USER_REPLACE, body)
    check_ready(node)
    old = _find(w, node, name)
    _keep(w, node, old["name"], new | {"isAdmin": old["isAdmin"]})


def delete(w: World, node: Node, name: str) -> None:
    check_ready(node)
    _find(w, node, name)
    del node.users[fold(name)]
    w.save(node)


def _keep(w: World, node: Node, name: str, new: Json) -> None:
    expires = parse_iso(new["expiryTime"]) if "expiryTime" in new else w.now + DAY  # a day, if not given (M)
    node.users[fold(name)] = {"name": name, "isAdmin": new["isAdmin"], "expires": expires}
    w.save(node)


def _find(w: World, node: Node, name: str) -> Json:
    _forget_expired(w, node)
    found: Json | None = node.users.get(fold(name))
    if found is None:
        raise refuse("NodeUserNotFound")
    return found


def _forget_expired(w: World, node: Node) -> None:
    kept = {key: user for key, user in node.users.items() if user["expires"] > w.now}
    if len(kept) < len(node.users):
        node.users = kept
        w.save(node)
