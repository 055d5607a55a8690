"""What depends on what: edges of manifests and of plans, in four languages."""

import json
from typing import Any

from reconciler.graph import Edge, Graph, Node, Relation, of_manifests, of_plan
from reconciler.observed import LiveNode
from reconciler.planning import make_plan
from reconciler.render.graph import FORMATS, graph_dot, graph_json, graph_mermaid, graph_text


def test_jobs_and_schedules_run_on_pools_declared_or_not(world: Any) -> None:
    auto = world.job("auto", poolInfo={"autoPoolSpecification": {"poolLifetimeOption": "job"}})
    elsewhere = world.job("k", poolInfo={"poolId": "Theirs"})
    schedule = world.schedule("x")
    graph = of_manifests(world.desired(world.job(tasks=("t1",)), elsewhere, auto, world.pool("P"), schedule))
    assert [(node.address, node.declared, node.tasks) for node in graph.nodes] == [
        ("pool/P", True, 0),
        ("pool/Theirs", False, 0),
        ("job/auto", True, 0),
        ("job/j", True, 1),
        ("job/k", True, 0),
        ("jobschedule/x", True, 0),
    ]
    assert graph.edges == (
        Edge("job/j", "pool/P", Relation.RUNS_ON),
        Edge("job/k", "pool/Theirs", Relation.RUNS_ON),
        Edge("jobschedule/x", "pool/P", Relation.RUNS_ON),
    )


def test_a_plan_says_what_waits_for_what(world: Any) -> None:
    pool = world.live_pool(world.pool(), members=(LiveNode("n1", "idle"),))
    job = world.live_job(world.job(), nodes=(world.ran("n1"),))
    schedule = world.live_schedule(world.schedule("x"))
    child = world.live_job(world.job("x:job-1"), stack=None, nodes=())
    plan = make_plan(world.desired(), world.observed(pool, job, schedule, child), world.context)
    edges = {(edge.start, str(edge.relation), edge.end) for edge in of_plan(plan).edges}
    assert {
        ("pool/p", "waits for", "job/j"),
        ("pool/p", "waits for", "jobschedule/x"),
        ("jobschedule/x", "makes", "job/x:job-1"),
        ("job/x:job-1", "waits for", "jobschedule/x"),
        ("job/j", "runs on", "pool/p"),
        ("job/x:job-1", "runs on", "pool/p"),
    } <= edges
    created = make_plan(world.desired(world.job(), world.pool()), world.observed(), world.context)
    assert Edge("job/j", "pool/p", Relation.WAITS_FOR) in of_plan(created).edges


GRAPH = Graph(
    (Node('pool/p"<b>\\', declared=False), Node("job/j", tasks=2, source="m.yaml:1")),
    (Edge("job/j", 'pool/p"<b>\\', Relation.RUNS_ON),),
)


def test_each_language_says_the_same_and_takes_no_name_for_its_own() -> None:
    assert graph_text(GRAPH) == (
        'pool/p"<b>\\  (not declared here)\njob/j (2 tasks)  (m.yaml:1)\n  runs on pool/p"<b>\\'
    )
    assert graph_dot(GRAPH).splitlines()[3:] == [
        '  "pool/p\\"<b>\\\\" [label="pool/p\\"<b>\\\\", style=dashed];',
        '  "job/j" [label="job/j (2 tasks)"];',
        '  "job/j" -> "pool/p\\"<b>\\\\" [label="runs on", style=solid];',
        "}",
    ]
    assert graph_mermaid(GRAPH).splitlines() == [
        "flowchart LR",
        '  n0(["pool/p#34;#60;b#62;#92;"])',
        '  n1["job/j (2 tasks)"]',
        "  n1 -->|runs on| n0",
    ]
    assert json.loads(graph_json(GRAPH))["edges"] == [{"from": "job/j", "to": 'pool/p"<b>\\', "relation": "runs on"}]
    assert set(FORMATS) == {"text", "dot", "mermaid", "json"}
