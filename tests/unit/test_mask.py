"""What a plan shows of secrets: that they changed, and never what they are."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.planning import make_plan
from reconciler.render.json import dump, plan_json
from reconciler.render.text import plan_text

SECRET = {"name": "T", "value": "open sesame"}
PLAIN = {"name": "A", "value": "plainly"}
PATH = ("jobPreparationTask", "environmentSettings", "T", "value")


def job(world: Any, *settings: dict[str, str], secret: bool = True) -> Any:
    task = {"commandLine": "prepare", "environmentSettings": list(settings)}
    return replace(world.job(jobPreparationTask=task), secret_paths=frozenset([PATH] if secret else []))


def outputs(world: Any, wanted: Any, live: Any) -> list[str]:
    plan = make_plan(
        world.desired(*([wanted] if wanted else [])), world.observed(*([live] if live else [])), world.context
    )
    return [plan_text(plan), dump(plan_json(plan, "here"))]


@pytest.mark.parametrize(
    "case", ["create", "change", "remove setting", "add setting", "remove job", "same", "other field"]
)
def test_a_secret_setting_is_shown_nowhere(world: Any, case: str) -> None:
    wanted = job(world, SECRET, PLAIN)
    before = {**SECRET, "value": "old sesame"}
    live = {
        "create": None,
        "change": world.live_job(job(world, before, PLAIN)),
        "remove setting": world.live_job(job(world, before, PLAIN)),
        "add setting": world.live_job(job(world, PLAIN)),
        "remove job": world.live_job(job(world, before, PLAIN), nodes=()),
        "same": world.live_job(wanted),
        "other field": world.live_job(world.job()),
    }[case]
    if case == "remove setting":
        wanted = job(world, PLAIN, secret=False)
    for text in outputs(world, None if case == "remove job" else wanted, live):
        assert "sesame" not in text
        assert case in ("remove job", "same") or "(secret)" in text or "T" not in text


def test_that_a_secret_changed_is_shown(world: Any) -> None:
    text, document = outputs(world, job(world, SECRET), world.live_job(job(world, {**SECRET, "value": "old sesame"})))
    assert "jobPreparationTask.environmentSettings.T.value: (secret) -> (secret), changed  # forces replacement" in text
    (row,) = json.loads(document)["resource_changes"]
    assert row["change"]["before"]["jobPreparationTask"]["environmentSettings"]["T"] == {"value": "(secret)"}


def test_a_plain_setting_is_shown(world: Any) -> None:
    wanted, live = job(world, PLAIN, secret=False), world.live_job(job(world, {**PLAIN, "value": "before"}))
    text, _ = outputs(world, wanted, live)
    assert "jobPreparationTask.environmentSettings.A.value: before -> plainly" in text


def test_what_the_table_calls_a_secret_is_masked_in_any_place(world: Any) -> None:
    url = "https://account.blob.core.windows.net/c/f?sp=r&sv=1&x=sesame"
    task = {"commandLine": "prepare", "resourceFiles": [{"httpUrl": url, "filePath": "f"}]}
    for text in outputs(world, world.job(jobPreparationTask=task), None):
        assert "sesame" not in text
        assert "https://account.blob.core.windows.net/c/f" in text
