"""Laws of the field table, for every body that the models allow."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.diff import diff
from reconciler.model.field import Spec
from reconciler.model.job import JobSpec
from reconciler.model.pool import PoolSpec
from reconciler.model.schedule import JobScheduleSpec
from reconciler.model.table import (
    is_secret,
    missing_secrets,
    normalise,
    secret_paths,
    strip_read_only,
    table,
    to_wire,
    without_defaults,
    without_secrets,
    write_only,
)
from reconciler.model.task import TaskSpec


def _strategies() -> Any:
    spec = importlib.util.spec_from_file_location("manifests", Path(__file__).with_name("manifests.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


manifests = _strategies()
Body = dict[str, Any]
MODELS = [PoolSpec, JobSpec, JobScheduleSpec, TaskSpec]
every_kind = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
slow_to_make = settings(
    deadline=None,
    max_examples=60,
    # Shrinking a whole pool takes minutes and gains little: the failing property is named by the assertion.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def differences(model: type[Spec], wanted: Body, live: Body) -> list[str]:
    change = diff(model, normalise(model, wanted), normalise(model, live), written=normalise(model, wanted, fill=False))
    return [f"{row.name}: {row.old!r} -> {row.new!r}" for row in change.fields]


@every_kind
@given(data=st.data())
@slow_to_make
def test_the_strategies_make_what_the_models_take(model: type[Spec], data: st.DataObject) -> None:
    model.model_validate(data.draw(manifests.specs(model)))


@every_kind
@given(data=st.data())
@settings(slow_to_make, max_examples=5)
def test_the_strategies_reach_every_property(model: type[Spec], data: st.DataObject) -> None:
    body = data.draw(manifests.specs(model, dense=True))
    model.model_validate(body)
    optional_for_a_reason = {"autoScaleFormula", "autoScaleEvaluationInterval", "requiredSlots"} | {
        name for name, field in table(model).items() if field.when is not None
    }
    assert set(table(model)) - set(body) <= optional_for_a_reason


@every_kind
@given(data=st.data())
@slow_to_make
def test_normalising_is_idempotent_through_the_wire(model: type[Spec], data: st.DataObject) -> None:
    normal = normalise(model, data.draw(manifests.specs(model)))
    assert normalise(model, to_wire(model, normal)) == normal
    assert json.loads(json.dumps(normal)) == normal


@every_kind
@given(data=st.data())
@slow_to_make
def test_a_spec_has_no_difference_from_itself(model: type[Spec], data: st.DataObject) -> None:
    body = data.draw(manifests.specs(model))
    assert differences(model, body, body) == []


@every_kind
@given(data=st.data())
@slow_to_make
def test_a_spec_has_no_difference_from_what_the_service_makes_of_it(model: type[Spec], data: st.DataObject) -> None:
    body = data.draw(manifests.specs(model))
    assert differences(model, body, data.draw(manifests.answers(model, body))) == []


@every_kind
@given(data=st.data())
@slow_to_make
def test_a_difference_of_top_level_values_is_seen_and_says_its_kind(model: type[Spec], data: st.DataObject) -> None:
    body = data.draw(manifests.specs(model))
    edit = data.draw(manifests.edits(model, body))
    model.model_validate(edit.body)
    wanted, live = normalise(model, edit.body), normalise(model, body)
    change = diff(model, wanted, live)
    seen = {row.top for row in change.fields}
    for name, field in table(model).items():
        if name not in seen and field.counts(wanted):
            assert wanted.get(name) == live.get(name) or wanted.get(name) is None or has_choices(field)


def has_choices(field: Any) -> bool:
    """Whether the service chooses something at or below the field, so that two values may stand for the same."""
    if field.service_chosen:
        return True
    return field.below is not None and any(has_choices(part) for part in table(field.below).values())


@every_kind
@given(data=st.data())
@slow_to_make
def test_a_live_object_becomes_a_manifest_that_does_not_differ_from_it(model: type[Spec], data: st.DataObject) -> None:
    """What an import does: the manifest is valid once the secrets are filled in, and asks for no change."""
    body = data.draw(manifests.specs(model))
    answer = data.draw(manifests.answers(model, body))
    stripped, dropped = strip_read_only(model, answer)
    assert set(dropped) == set(answer) & model.read_only
    written = without_defaults(model, stripped)
    for path in missing_secrets(model, written):
        assert is_secret(model, path)
        put(written, path, "secret")
    model.model_validate(written)
    assert differences(model, written, answer) == []
    assert without_defaults(model, written) == written


def put(body: Any, path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        body = body[int(part)] if isinstance(body, list) else body[part]
    body[path[-1]] = value


@every_kind
@given(data=st.data())
@slow_to_make
def test_what_the_command_line_prints_is_the_same_body(model: type[Spec], data: st.DataObject) -> None:
    """`az batch ... show`: a null for every absent value, names in the letter case of its own."""
    body = data.draw(manifests.specs(model))
    stripped, dropped = strip_read_only(model, printed(model, body))
    assert (stripped, dropped) == (body, ())


def printed(model: type[Spec], body: Body) -> Body:
    shown: Body = {}
    for name, field in table(model).items():
        value = body.get(name)
        if value is not None and field.below is not None:
            value = [printed(field.below, item) for item in value] if field.is_list else printed(field.below, value)
        shown[name[0] + name[1:].replace("SKU", "Sku").replace("NAT", "Nat").replace("OS", "Os")] = value
    return shown


@every_kind
@given(data=st.data())
@slow_to_make
def test_no_secret_is_shown(model: type[Spec], data: st.DataObject) -> None:
    body = data.draw(manifests.specs(model))
    hidden = write_only(model, body)
    assert all(is_secret(model, path) for path in hidden)
    assert manifests.SECRET not in json.dumps(without_secrets(model, body))
    normal = normalise(model, body)
    assert manifests.SECRET not in json.dumps(without_secrets(model, normal))
    for name, value in body.items():
        assert manifests.SECRET not in json.dumps(without_secrets(model, value, (name,)))
    for change in diff(model, normal, {}).fields:
        assert manifests.SECRET not in json.dumps(without_secrets(model, change.new, change.path))


@every_kind
def test_where_secrets_can_be_is_known(model: type[Spec]) -> None:
    assert all(is_secret(model, path) for path in secret_paths(model))
    found = {path[-1] if path[-1] != "*" else path[-2] for path in secret_paths(model)}
    assert {"httpUrl", "storageContainerUrl", "password"} <= found
