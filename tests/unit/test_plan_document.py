"""A plan as JSON is what its schema says, whatever is in it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.forecast import make_forecast
from reconciler.guards import guards_of
from reconciler.lifecycle.steps import Consents, Context
from reconciler.model.desired import Key, Kind
from reconciler.observed import LiveNode, TaskCounts
from reconciler.planning import make_plan
from reconciler.render.json import dump, plan_json

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.schema.json").read_text(encoding="utf-8"))
LIMITS = {"cores": 10, "pools": 3, "activeJobsAndSchedules": 2}
UP = (LiveNode("n1", "idle"), LiveNode("n2", "unusable"))


def sealed(schema: Any) -> Any:
    """The schema with every name refused that it does not declare: readers may not be that strict, this test is."""
    if isinstance(schema, list):
        return [sealed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: sealed(value) for key, value in schema.items()}
    return found | {"additionalProperties": False} if "properties" in schema else found


def document(world: Any, wanted: tuple[Any, ...], live: tuple[Any, ...], **more: Any) -> Any:
    observed = world.observed(*live, unread=more.get("unread"))
    desired = world.desired(*wanted)
    plan = make_plan(desired, observed, more.get("context", world.context))
    forecast = make_forecast(plan, observed.with_children(), more.get("why", {}), LIMITS)
    found = plan_json(plan, "here", forecast, guards_of(plan, desired))
    return json.loads(dump(found))


def cases(world: Any) -> dict[str, tuple[tuple[Any, ...], tuple[Any, ...], dict[str, Any]]]:
    ran = (world.ran("n1"), world.ran("n2"), world.ran("n3"))
    job = world.live_job(world.job(), counts=TaskCounts(1, 2, 3, 4), nodes=ran)
    pool = world.live_pool(world.pool(), members=UP)
    key = Key.of(Kind.JOB, "j")
    loss = Context("s", consents=Consents(release_loss=frozenset({key}), task_loss=frozenset({key})))
    schedule = world.live_schedule(world.schedule("x"))
    child = world.live_job(world.job("x:job-1"), stack=None)
    other = world.job(jobReleaseTask={"commandLine": "other"})
    drifted = world.live_job(world.job(), spec={**world.job().spec, "priority": 7})
    return {
        "nothing": ((), (), {}),
        "create": ((world.job(tasks=("t1",)), world.pool(), world.schedule("x")), (), {}),
        "settled": ((world.job(), world.pool()), (job, pool), {}),
        "remove": ((), (job, pool), {}),
        "remove unknown": ((), (world.live_job(world.job()),), {"why": {key: "403"}}),
        "replace": ((other, world.pool()), (job, pool), {"context": loss}),
        "shrink": ((world.job(), world.pool(targetDedicatedNodes=1)), (job, pool), {"context": loss}),
        "blocked": ((world.pool(),), (world.live_pool(world.pool(), stack="other"),), {}),
        "unread": ((world.job(),), (), {"unread": {Kind.JOB: "403"}}),
        "drift": ((world.job(displayName="two"),), (drifted,), {}),
        "schedule": ((), (schedule, child), {}),
        "terminating": ((), (world.live_job(world.job(), "terminating", nodes=ran), pool), {}),
    }


def test_every_plan_is_as_its_schema_says(world: Any) -> None:
    check = jsonschema.Draft202012Validator(sealed(SCHEMA))
    for case, (wanted, live, more) in cases(world).items():
        errors = [
            f"{case}: {error.json_path}: {error.message}"
            for error in check.iter_errors(document(world, wanted, live, **more))
        ]
        assert errors == []


def test_the_schema_itself_is_one_and_refuses_something_else() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"kind": "Plan"}, SCHEMA)


def test_a_removal_tells_programs_what_it_tells_people(world: Any) -> None:
    wanted, live, more = cases(world)["remove"]
    found = document(world, wanted, live, **more)
    job = next(row for row in found["resource_changes"] if row["address"] == "job/j")
    assert job["change"]["actions"] == ["delete"]
    assert [step["verb"] for step in job["steps"] if step["kind"] == "action"] == ["terminate", "delete"]
    assert job["forecast"]["tasks"] == {"running": 2, "active": 1, "restarts": False, "finished": 0}
    assert job["forecast"]["releases"] == [
        {
            "job": "job/j",
            "known": True,
            "runs": [{"node": "n1", "why": None}],
            "uncertain": [{"node": "n2", "why": "is unusable"}],
            "lost": [{"node": "n3", "why": "has left the pool"}],
            "at_most": None,
        }
    ]
    assert (job["forecast"]["wait"]["seconds"], job["forecast"]["wait"]["limited_seconds"]) == (None, 900)
    assert found["quotas"] == [
        {"name": "cores", "limit": 10, "before": 4, "after": 0, "note": None},
        {"name": "pools", "limit": 3, "before": 1, "after": 0, "note": None},
        {"name": "activeJobsAndSchedules", "limit": 2, "before": 1, "after": 0, "note": None},
    ]


def test_what_is_not_known_is_null(world: Any) -> None:
    wanted, live, more = cases(world)["remove unknown"]
    (row,) = document(world, wanted, live, **more)["resource_changes"]
    assert row["forecast"]["tasks"] == {"running": None, "active": None, "restarts": False, "finished": 0}
    assert row["forecast"]["releases"][0]["known"] is False
    assert row["forecast"]["files"]["tasks"] is None
    assert row["forecast"]["unread"] == ["403"]


def test_drift_stands_apart_and_a_block_stands_with_its_object(world: Any) -> None:
    wanted, live, more = cases(world)["drift"]
    found = document(world, wanted, live, **more)
    assert [row["address"] for row in found["resource_drift"]] == ["job/j"]
    assert (found["resource_changes"][0]["drift"], found["resource_changes"][0]["action_reason"]) == (True, "drift")
    wanted, live, more = cases(world)["blocked"]
    found = document(world, wanted, live, **more)
    block = found["resource_changes"][0]["blocked"]
    assert found["blocked"] == [{"address": "pool/p", **block}]
    assert "adopt" in block["reason"]
    (guard,) = found["guards"]
    assert (guard["rule"], guard["addresses"], guard["stops"]) == (block["rule"], ["pool/p"], False)
