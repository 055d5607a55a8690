"""Autoscale over HTTP: enable, evaluate, disable, and pools created with it. Time itself is in the unit tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from azure.batch.models import BatchPoolEnableAutoScaleOptions, BatchPoolEvaluateAutoScaleOptions
from azure.core.exceptions import HttpResponseError, ResourceExistsError

PAGE = "batch-automatic-scaling"


@pytest.fixture
def scaled(make_pool, client, until):
    """Make a pool with autoscale on by that formula, and wait until it is steady."""

    def make(formula: str, **settings: Any) -> str:
        pool_id = make_pool(
            0, wait=False, **{"targetDedicatedNodes": None}, enableAutoScale=True, autoScaleFormula=formula, **settings
        )
        until(lambda: client.get_pool(pool_id).allocation_state == "steady")
        return pool_id

    return make


@pytest.fixture
def evaluate(client):
    def run(pool_id: str, formula: str) -> Any:
        return client.evaluate_pool_auto_scale(pool_id, BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=formula))

    return run


def enable(client, pool_id, **settings):
    client.enable_pool_auto_scale(pool_id, BatchPoolEnableAutoScaleOptions(**settings))


@pytest.mark.recorded("py2020b-scale_pools")
def test_a_formula_is_enabled_evaluated_and_disabled_as_recorded(make_pool, raw, client, until):
    pool_id = make_pool(0)
    path = f"/pools/{pool_id}"
    body = {"autoScaleFormula": "$TargetDedicatedNodes=2", "autoScaleEvaluationInterval": "PT6M"}
    enabled = raw("POST", f"{path}/enableautoscale", body)
    assert (enabled.status, enabled.body) == (200, b"")
    assert enabled.headers["etag"] == client.get_pool(pool_id).etag
    evaluated = raw("POST", f"{path}/evaluateautoscale", {"autoScaleFormula": "$TargetDedicatedNodes=3"})
    assert evaluated.status == 200
    assert evaluated.headers["dataserviceid"].endswith(f"{path}/evaluateautoscale")
    assert "etag" not in evaluated.headers
    assert evaluated.json.keys() == {"odata.metadata", "timestamp", "results"}
    assert evaluated.json["odata.metadata"].endswith("#Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun")
    assert (
        evaluated.json["results"] == "$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    )
    disabled = raw("POST", f"{path}/disableautoscale")
    assert (disabled.status, disabled.body) == (200, b"")
    assert disabled.headers["etag"] == enabled.headers["etag"]
    shown = raw("GET", path).json
    assert shown["enableAutoScale"] is False
    assert not {"autoScaleFormula", "autoScaleEvaluationInterval", "autoScaleRun"} & shown.keys()
    assert shown["targetDedicatedNodes"] == 2


@pytest.mark.recorded("py2018-scale_pools")
def test_disabling_stops_the_resize_that_is_under_way(make_pool, raw, client, until):
    pool_id = make_pool(0)
    raw("POST", f"/pools/{pool_id}/enableautoscale", {"autoScaleFormula": "$TargetDedicatedNodes=2"})
    raw("POST", f"/pools/{pool_id}/disableautoscale")
    pool = until(lambda: (pool := client.get_pool(pool_id)).allocation_state == "steady" and pool)
    assert pool.target_dedicated_nodes == 2
    assert [error.code for error in pool.resize_errors] == ["ResizeStopped"]


@pytest.mark.recorded("node2020-fail_to_evaluate_invalid_autoscale_formula")
def test_a_bad_formula_is_told_in_the_result_of_its_evaluation(scaled, raw):
    pool_id = scaled("$TargetDedicatedNodes=0")
    answer = raw("POST", f"/pools/{pool_id}/evaluateautoscale", {"autoScaleFormula": "something_useless"})
    assert answer.status == 200
    assert answer.json["results"] == "$TargetDedicatedNodes=0;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    assert answer.json["error"] == {
        "code": "AutoScalingFormulaEvaluationError",
        "message": "The specified auto-scaling formula has evaluation error",
        "values": [{"name": "Message", "value": "Line 1, Col 1: Undefined symbol: something_useless"}],
    }


@pytest.mark.recorded("cli2020-pools_and_nodes")
def test_one_target_is_set_and_all_three_variables_are_shown(scaled, evaluate):
    run = evaluate(scaled("$TargetDedicatedNodes=0"), "$TargetLowPriorityNodes=3")
    assert run.results == "$TargetDedicatedNodes=0;$TargetLowPriorityNodes=3;$NodeDeallocationOption=requeue"
    assert run.error is None
    assert abs((datetime.now(UTC) - run.timestamp).total_seconds()) < 60


@pytest.mark.documented("BatchPoolCreateOptions.enable_auto_scale")
def test_a_pool_created_with_a_formula_grows_to_what_it_answers(scaled, client):
    pool_id = scaled(
        "$TargetDedicatedNodes = 1; nodes = 1; $TargetLowPriorityNodes = nodes", autoScaleEvaluationInterval="PT5M"
    )
    pool = client.get_pool(pool_id)
    assert (pool.current_dedicated_nodes, pool.current_low_priority_nodes) == (1, 1)
    assert pool.enable_auto_scale
    assert pool.auto_scale_evaluation_interval.total_seconds() == 300
    assert pool.auto_scale_run.results.endswith(";$NodeDeallocationOption=requeue;nodes=1")
    assert pool.auto_scale_run.error is None


@pytest.mark.documented("BatchPoolCreateOptions.auto_scale_formula")
@pytest.mark.parametrize(
    ("settings", "code", "named"),
    [
        ({"enableAutoScale": True}, "MissingRequiredProperty", "autoScaleFormula"),
        ({"autoScaleFormula": "$a=1"}, "InvalidPropertyValue", "autoScaleFormula"),
        ({"enableAutoScale": True, "autoScaleFormula": "$a=("}, "AutoScalingFormulaSyntaxError", "autoScaleFormula"),
        ({"enableAutoScale": True, "autoScaleFormula": "a" * 8193}, "AutoScalingFormulaTooLong", "autoScaleFormula"),
        (
            {"enableAutoScale": True, "autoScaleFormula": "a=1", "targetDedicatedNodes": 1},
            "InvalidPropertyValue",
            "targetDedicatedNodes",
        ),
        (
            {"enableAutoScale": True, "autoScaleFormula": "a=1", "autoScaleEvaluationInterval": "PT4M59S"},
            "InvalidPropertyValue",
            "autoScaleEvaluationInterval",
        ),
        (
            {"enableAutoScale": True, "autoScaleFormula": "a=1", "autoScaleEvaluationInterval": "PT168H1S"},
            "InvalidPropertyValue",
            "autoScaleEvaluationInterval",
        ),
    ],
)
def test_a_pool_whose_autoscale_settings_do_not_fit_is_refused(raw, vm, new_id, settings, code, named):
    answer = raw("POST", "/pools", {"id": new_id("bad"), **vm, **settings})
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, named)


@pytest.mark.documented("enable_pool_auto_scale")
def test_enabling_needs_a_formula_only_when_autoscale_is_off(make_pool, raw):
    path = f"/pools/{make_pool(0)}/enableautoscale"
    refused = raw("POST", path, {"autoScaleEvaluationInterval": "PT5M"})
    assert (refused.status, refused.values["PropertyName"]) == (400, "autoScaleFormula")
    bad = raw("POST", path, {"autoScaleFormula": "1 +"})
    assert (bad.status, bad.code) == (400, "AutoScalingFormulaSyntaxError")
    assert bad.values["Reason"].startswith("Line 1, Col 4: ")
    assert raw("POST", path, {"autoScaleFormula": "a=1"}).status == 200


@pytest.mark.documented("batch-status-and-error-codes")
def test_enabling_twice_within_thirty_seconds_is_refused(make_pool, raw):
    path = f"/pools/{make_pool(0)}/enableautoscale"
    assert raw("POST", path, {"autoScaleFormula": "a=1"}).status == 200
    answer = raw("POST", path, {"autoScaleEvaluationInterval": "PT5M"})
    assert (answer.status, answer.code) == (503, "TooManyEnableAutoScaleRequests")


@pytest.mark.documented("enable_pool_auto_scale")
def test_enabling_is_refused_while_the_pool_is_being_resized(make_pool, client):
    pool_id = make_pool(1, wait=False)
    with pytest.raises(ResourceExistsError) as refused:
        enable(client, pool_id, auto_scale_formula="$TargetDedicatedNodes=2")
    assert refused.value.error.code == "PoolBeingResized"


@pytest.mark.documented("resize_pool")
def test_a_pool_with_autoscale_is_not_resized_by_hand(scaled, raw):
    answer = raw("POST", f"/pools/{scaled('a=1')}/resize", {"targetDedicatedNodes": 1})
    assert answer.status == 409


@pytest.mark.documented("evaluate_pool_auto_scale")
def test_without_autoscale_there_is_nothing_to_evaluate(make_pool, evaluate):
    with pytest.raises(HttpResponseError) as refused:
        evaluate(make_pool(0), "$TargetDedicatedNodes=1")
    assert refused.value.status_code == 409


@pytest.mark.emulator_only
def test_without_autoscale_there_is_nothing_to_disable(make_pool, raw):
    answer = raw("POST", f"/pools/{make_pool(0)}/disableautoscale")
    assert (answer.status, answer.code) == (409, "OperationNotValidOnPool")


@pytest.mark.documented("enable_pool_auto_scale")
def test_enabling_takes_conditions(make_pool, raw):
    path = f"/pools/{make_pool(0)}/enableautoscale"
    answer = raw("POST", path, {"autoScaleFormula": "a=1"}, headers={"if-match": '"0x1"'})
    assert (answer.status, answer.code) == (412, "ConditionNotMet")


@pytest.mark.documented(PAGE)
def test_the_first_samples_are_not_there_yet(scaled, evaluate):
    pool_id = scaled("$TargetDedicatedNodes=0")
    run = evaluate(pool_id, "\n$a = 1;\navg($PendingTasks.GetSample(3*TimeInterval_Minute, 70))")
    assert run.error.code == "InsufficientSampleData"
    assert run.error.message == "Autoscale evaluation failed due to insufficient sample data"
    text = "Line 3, Col 28: Insufficient data from data set: $PendingTasks wanted 70%, received 0%"
    assert [(entry.name, entry.value) for entry in run.error.error_values] == [("Message", text)]


@pytest.mark.recorded("py2018-scale_pools")
def test_usage_metrics_are_empty(client, raw):
    assert list(client.list_pool_usage_metrics()) == []
    assert (
        list(client.list_pool_usage_metrics(filter="poolId eq 'x'", start_time=datetime(2026, 1, 1, tzinfo=UTC))) == []
    )
    assert raw("GET", "/poolusagemetrics").json["odata.metadata"].endswith("/$metadata#poolusagemetrics")
    bad = raw("GET", "/poolusagemetrics", query="api-version=2025-06-01&startTime=soon")
    assert (bad.status, bad.code) == (400, "InvalidQueryParameterValue")
