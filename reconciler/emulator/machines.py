"""Compute nodes: brought up, start task, idle and running, taken off scheduling, rebooted, leaving.

States follow E:BatchNodeState. `settle` looks at what is and does the next thing.
"""

from __future__ import annotations

import hashlib

from reconciler.emulator import attendance, failures, runs, tasks, usage
from reconciler.emulator.errors import refuse
from reconciler.emulator.node_bodies import NODE_DEALLOCATE, NODE_DISABLE, NODE_REBOOT, NODE_REIMAGE
from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Execution, Job, Node, Pool, fold
from reconciler.emulator.schema import read_body
from reconciler.emulator.world import World

_WHEN_NOT_READY = {
    "creating": "NodeBeingCreated",
    "starting": "NodeBeingStarted",
    "waitingforstarttask": "NodeBeingStarted",
    "rebooting": "NodeBeingRebooted",
    "reimaging": "NodeBeingReimaged",
    "unusable": "NodeStateUnusable",
}
_NOT_PAID = ("deallocated", "preempted")
_AWAY = ("leavingpool", "reimaging", "deallocating", "deallocated")


def find(w: World, pool: Pool, node_id: str) -> Node:
    node = w.nodes.get(f"{pool.key}/{fold(node_id)}")
    if node is None:
        raise refuse("NodeNotFound")
    return node


def make(w: World, pool: Pool, *, dedicated: bool) -> Node:
    """A new node of the pool. Its id looks as recorded (R26): tvmps_, 64 hex digits, d or p."""
    pool.nodes_made += 1
    digest = hashlib.sha256(f"{pool.key}/{pool.created}/{pool.nodes_made}".encode()).hexdigest()
    node_id = f"tvmps_{digest}_{'d' if dedicated else 'p'}"
    node = Node(node_id, pool.key, dedicated, w.now, w.now, pool.nodes_made)
    w.add(node)
    usage.begin(w, node)
    w.save(pool)
    return node


# --- requests


def reboot_by_request(w: World, node: Node, body: object) -> None:
    option = read_body(NODE_REBOOT, body or {})["nodeRebootOption"]
    check_ready(node)
    _clear(w, node, option, "reboot")


def reimage_by_request(w: World, node: Node, body: object) -> None:
    """Refused as recorded (R18:compute_nodes); whether today's service does it is not known, so a switch decides."""
    option = read_body(NODE_REIMAGE, body or {})["nodeReimageOption"]
    if not w.switches.reimage_is_accepted:
        reason = "Operation reimage can be invoked only on pools created with cloudServiceConfiguration"
        raise refuse("OperationNotValidOnNode", ("Reason", reason))
    check_ready(node)
    _clear(w, node, option, "reimage")


def deallocate_by_request(w: World, node: Node, body: object) -> None:
    """The machine is given back, the node stays in its pool (O: only on an idle or running node)."""
    option = read_body(NODE_DEALLOCATE, body or {})["nodeDeallocateOption"]
    check_ready(node)
    _clear(w, node, option, "deallocate")


def start_by_request(w: World, node: Node) -> None:
    """Only a deallocated node can be started (O:start_node)."""
    if node.state != "deallocated":
        raise refuse(_WHEN_NOT_READY.get(node.state, "OperationNotValidOnNode"))
    _enter(w, node, "starting")


def disable_scheduling(w: World, node: Node, body: object) -> None:
    """No new tasks; those running are treated as the option says (M:BatchNodeDisableSchedulingOptions).

    It depends on the scheduling state alone, whatever else the node is doing (O:disable_node_scheduling).
    """
    option = read_body(NODE_DISABLE, body or {})["nodeDisableSchedulingOption"]
    if node.scheduling == "disabled":
        raise refuse("NodeAlreadyInTargetSchedulingState")
    node.scheduling = "disabled"
    w.save(node)
    w.touch("nodes", node.key)
    _stop_tasks(w, node, option)


def enable_scheduling(w: World, node: Node) -> None:
    if node.scheduling == "enabled":
        raise refuse("NodeAlreadyInTargetSchedulingState")
    node.scheduling = "enabled"
    w.save(node)
    w.touch("nodes", node.key)
    w.touch("schedule", node.pool)


def check_ready(node: Node) -> None:
    """Refuse what needs a node that is up, with the code its state calls for."""
    if node.state not in attendance.UP or node.intent is not None:
        raise refuse(_WHEN_NOT_READY.get(node.state, "OperationNotValidOnNode"))


# --- transitions


def _enter(w: World, node: Node, state: str) -> None:
    if node.state != state:
        if state in _NOT_PAID:
            usage.end(w, node)
        else:
            usage.begin(w, node)
        node.state, node.state_time = state, w.now
        w.save(node)
        w.touch("nodes", node.key)
        w.touch("schedule", node.pool)


def settle(w: World, node: Node) -> None:
    """The next thing this node has to do by itself, if its time has come."""
    match node.state:
        case "creating":
            if _waited(w, node, w.timings.create_node):
                _enter(w, node, "starting")
        case "rebooting":
            if _waited(w, node, w.timings.reboot_node):
                _enter(w, node, "starting")
        case "reimaging":
            if _waited(w, node, w.timings.reimage_node):
                _enter(w, node, "starting")
        case "deallocating":
            if _waited(w, node, w.timings.deallocate_node):
                _enter(w, node, "deallocated")
        case "starting" if node.installing is None:
            if _waited(w, node, w.timings.start_node):
                _boot(w, node)
        case "leavingpool":
            if _waited(w, node, w.timings.leave_pool):
                _remove(w, node)
        case "unusable" | "unknown" | "upgradingos" | "preempted" if node.intent is None:
            if node.returns is not None and _waited(w, node, node.returns - node.state_time):
                _enter(w, node, "starting")
        case _ if node.intent is not None and _is_free(w, node):
            _carry_out(w, node)
        case "idle" | "running" | "offline":
            _enter(w, node, _state_by_work(w, node))


def _waited(w: World, node: Node, least: int) -> bool:
    if w.now < node.state_time + least:
        w.wake(node.state_time + least, "nodes", node.key)
        return False
    return True


def _state_by_work(w: World, node: Node) -> str:
    """Start, preparation and release tasks do not make a node running (E, M:BatchNode.runningTasksCount)."""
    if any(task.state == "running" for task in w.tasks_on_node[node.key].values()):
        return "running"
    return "idle" if node.scheduling == "enabled" else "offline"


def _boot(w: World, node: Node) -> None:
    """The node is up: directories, then the start task the pool has now (D:jobs-and-tasks)."""
    pool = w.pools[node.pool]
    pool_id, node_id = pool.id, node.id
    w.outbox.append(lambda driver: driver.make_node(pool_id, node_id))
    node.booted = w.now
    node.boots += 1
    node.errors = []
    node.packages = w.packages.resolve(pool.spec, lower_case=w.switches.package_variables_are_lower_case)
    if node.packages:
        node.installing = runs.begin_installation(w, node)
        w.save(node)
    else:
        _begin_start(w, node)


def packages_installed(w: World, node: Node, ended: Ended) -> None:
    """Where an application package of the pool could not be installed no task runs (D:batch-application-packages)."""
    node.installing = None
    w.save(node)
    if ended.problem is not None:
        message = "An application package of the pool could not be installed"
        details = [{"name": "Message", "value": ended.detail}]
        node.returns = None
        node.errors = [{"code": ended.problem, "message": message, "errorDetails": details}]
        _enter(w, node, "unusable")
    elif ended.exit_code is None:
        node.installing = runs.begin_installation(w, node)
    else:
        _begin_start(w, node)


def _begin_start(w: World, node: Node) -> None:
    """Everything is in place: the start task, if there is one."""
    node.start_task = w.pools[node.pool].spec.get("startTask")
    node.start = None
    if node.start_task is not None:
        node.start = Execution(w.now, run=runs.begin_start(w, node, node.start_task))
    w.save(node)
    waits = node.start_task is not None and node.start_task["waitForSuccess"]
    _enter(w, node, "waitingforstarttask" if waits else "idle")
    for job in _jobs_here(w, node):
        w.touch("jobs", job.key)


def start_ended(w: World, node: Node, ended: Ended) -> None:
    spec, execution = node.start_task, node.start
    if spec is None or execution is None:
        return
    lost = ended.exit_code is None and ended.problem is None
    if lost or failures.may_retry(ended, execution.retry_count, spec["maxTaskRetryCount"]):
        failures.again(execution, w.now, runs.begin_start(w, node, spec), counted=not lost)
        w.save(node)
        return
    failures.close(execution, ended)
    w.save(node)
    if spec["waitForSuccess"]:
        _enter(w, node, "idle" if execution.succeeded else "starttaskfailed")
        for job in _jobs_here(w, node):
            w.touch("jobs", job.key)


def _jobs_here(w: World, node: Node) -> list[Job]:
    return w.jobs_at_node(node)


def leave(w: World, node: Node, option: str) -> None:
    """Take the node out of its pool, its tasks treated as the option says (E:BatchNodeDeallocationOption)."""
    if node.state != "leavingpool" and node.intent != "leave":
        _clear(w, node, option, "leave")


def stay(w: World, node: Node) -> None:
    """The resize was stopped before the node began to leave."""
    if node.intent == "leave":
        node.intent = None
        w.save(node)
        w.touch("nodes", node.key)
        w.touch("schedule", node.pool)


def _clear(w: World, node: Node, option: str, intent: str) -> None:
    """Free the node of tasks, at once or when they are done, then do what is intended."""
    node.intent, node.awaits_retention = intent, option == "retaineddata"
    w.save(node)
    _stop_tasks(w, node, option)
    if _is_free(w, node):
        _carry_out(w, node)


def _is_free(w: World, node: Node) -> bool:
    """Whether no task is there any more nor, if that was asked for, the data of one (E:BatchNodeRebootKind)."""
    if w.tasks_on_node[node.key]:
        return False
    if not node.awaits_retention:
        return True
    kept = [tasks.kept_until(task) for task in w.tasks.values() if node.key in task.ran_on and not task.cleaned]
    until = max((at for at in kept if at is not None), default=0)
    if w.now < until < w.now + runs.FAR:
        w.wake(until + 1, "nodes", node.key)  # after the directories have gone
    return w.now > until


def _stop_tasks(w: World, node: Node, option: str) -> None:
    for task in list(w.tasks_on_node[node.key].values()):
        if option == "requeue":
            tasks.requeue(w, task)
        elif option == "terminate":
            tasks.end(w, task, failures.ended_by_user())


def _carry_out(w: World, node: Node) -> None:
    if node.intent == "leave" and attendance.holds(w, node, _jobs_here(w, node)):
        return  # the end of the release looks here again
    intent, node.intent, node.awaits_retention = node.intent, None, False
    pool_id, node_id = w.pools[node.pool].id, node.id
    if node.start is not None and node.start.run is not None:
        w.kill(node.start.run)
        node.start.run = None
    w.kill(node.installing)
    node.installing = None
    if intent == "reboot":
        attendance.node_rebooted(w, node, _jobs_here(w, node))
        w.outbox.append(lambda driver: driver.stop_node(pool_id, node_id))
        _enter(w, node, "rebooting")
    elif intent == "deallocate":
        attendance.node_rebooted(w, node, _jobs_here(w, node))
        w.outbox.append(lambda driver: driver.stop_node(pool_id, node_id))
        _enter(w, node, "deallocating")
    elif intent == "reimage":
        attendance.node_reimaged(w, node, _jobs_here(w, node))
        node.users = {}
        w.outbox.append(lambda driver: driver.drop_node(pool_id, node_id))
        _enter(w, node, "reimaging")
    else:
        _enter(w, node, "leavingpool")
        attendance.node_left(w, node, _jobs_here(w, node))


def power_off(w: World, node: Node) -> None:
    """The machine stops; the node boots again when time next passes. Tasks go back to the queue, uncounted (M)."""
    if node.boots == 0 or node.state in _AWAY:
        return
    for task in list(w.tasks_on_node[node.key].values()):
        tasks.requeue(w, task, counted=False)
    if node.start is not None and node.start.run is not None:
        w.kill(node.start.run)
        node.start.run = None
    w.kill(node.installing)
    node.installing = None
    attendance.node_rebooted(w, node, _jobs_here(w, node))
    _enter(w, node, "rebooting")


def fall_out(w: World, node: Node, state: str, returns: int | None) -> None:
    """The node is in that state, without its tasks; a preempted one comes back with an empty disk (G:Azure/Batch#52).

    That tasks leave a node which is lost sight of or upgraded as they do an unusable one is INFERRED.
    """
    power_off(w, node)
    if state == "preempted":
        pool_id, node_id = w.pools[node.pool].id, node.id
        w.outbox.append(lambda driver: driver.drop_node(pool_id, node_id))
        attendance.node_reimaged(w, node, _jobs_here(w, node))
        node.users = {}
    node.returns = returns
    _enter(w, node, state)


def _remove(w: World, node: Node) -> None:
    pool_id, node_id = w.pools[node.pool].id, node.id
    w.outbox.append(lambda driver: driver.drop_node(pool_id, node_id))
    usage.end(w, node)
    w.remove(node)
    w.touch("pools", node.pool)
    for job in _jobs_here(w, node):
        w.touch("jobs", job.key)
