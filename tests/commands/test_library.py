"""What the commands do, as functions, and what happens as lines for programs."""

import asyncio
import json
import os
import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import reconciler
from reconciler.cli.main import build_parser
from reconciler.errors import UsageError
from tests.commands.conftest import JOB, POOL, Desk


def test_a_program_loads_plans_and_applies(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB)
    (stack,) = reconciler.load([str(desk.folder)])
    target = reconciler.choose_target(stack.stack)
    planned = asyncio.run(reconciler.plan(stack, target))
    assert {entry.address: entry.verbs[0] for entry in planned.plan.entries.values()} == {
        "pool/p": "create",
        "job/j": "create",
    }

    result = asyncio.run(reconciler.apply(planned))

    assert result.end is reconciler.End.SETTLED
    assert not (asyncio.run(reconciler.plan(stack, target))).plan.has_changes
    removal = asyncio.run(reconciler.plan_removal(stack, target))
    assert (asyncio.run(reconciler.apply(removal))).end is reconciler.End.SETTLED
    assert desk.run("status").out.endswith("No stack owns anything here.\n")


def test_what_happens_is_yielded_as_it_happens(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB)
    (stack,) = reconciler.load([str(desk.folder)])
    planned = asyncio.run(reconciler.plan(stack, reconciler.choose_target(stack.stack)))

    async def listen() -> list[tuple[str, str]]:
        return [(one.code, one.object) async for one in reconciler.events(planned)]

    happened = asyncio.run(listen())
    acted = [address for code, address in happened if code == "Acted"]
    assert acted == ["pool/p", "job/j", "job/j", "job/j"]  # created; then its task added, and confirmed
    assert happened[-1] == ("Ended", "")


def test_a_plan_that_needs_consent_does_not_run(desk: Desk) -> None:
    desk.write(pool=POOL)
    desk.apply()
    desk.write(pool=None, stack="apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\n")
    (stack,) = reconciler.load([str(desk.folder)])
    target = reconciler.choose_target(stack.stack)
    planned = asyncio.run(reconciler.plan(stack, target))
    with pytest.raises(reconciler.ReconcilerError, match="hold no object at all"):
        asyncio.run(reconciler.apply(planned))
    consented = asyncio.run(reconciler.plan(stack, target, reconciler.Options(allow_deletes=1)))
    assert (asyncio.run(reconciler.apply(consented))).end is reconciler.End.SETTLED


def test_options_that_name_nothing_are_refused(desk: Desk) -> None:
    (stack,) = reconciler.load([str(desk.folder)])
    target = reconciler.choose_target(stack.stack)
    with pytest.raises(UsageError, match="job/absent"):
        asyncio.run(reconciler.plan(stack, target, reconciler.Options(replace=("job/absent",))))


def test_a_target_does_not_show_its_key(desk: Desk) -> None:
    assert desk.simulation.key not in repr(reconciler.choose_target())


def test_everything_public_is_there_and_says_what_it_is() -> None:
    for name in reconciler.__all__:
        assert getattr(reconciler, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        reconciler.nothing  # noqa: B018


def test_every_flag_of_apply_that_decides_is_an_option() -> None:
    """The two would drift apart: a flag that no program could set, or one that the command drops."""
    apply = next(action for action in build_parser()._actions if action.dest == "command").choices["apply"]  # type: ignore[union-attr, index, call-overload]
    flags = {action.dest.removeprefix("no_") for action in apply._actions}
    shown = {"help", "paths", "var", "var_file", "endpoint", "account", "debug", "color", "format", "refresh_only"}
    asked = {"auto_approve", "detailed_exitcode"}
    assert flags - shown - asked == {one.name for one in fields(reconciler.Options)}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_apply_tells_programs_line_by_line(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB)
    ran = desk.run("apply", str(desk.folder), "--auto-approve", "--format", "json")
    assert ran.code == 0
    told = lines(ran.out)
    assert [told[0]["code"], told[-1]["code"]] == ["Planned", "Ended"]
    assert told[0]["plan"]["summary"]["add"] == 2
    assert {"code": "Acted", "object": "job/j", "verb": "create"}.items() <= next(
        line for line in told if line["code"] == "Acted" and line["object"] == "job/j"
    ).items()
    assert told[-1]["end"] == "settled"
    assert told[-1]["done"]["create"] == 2
    assert ran.err.startswith("Target: ")

    removed = desk.run("destroy", str(desk.folder), "--auto-approve", "--format", "json")
    assert removed.code == 0
    receipt = next(line for line in lines(removed.out) if line["code"] == "Receipt")
    assert receipt["object"] == "job/j"
    assert lines(removed.out)[-1]["message"].endswith("Nothing of stack 's' is left.")


def test_lines_for_programs_leave_nobody_to_ask(desk: Desk) -> None:
    desk.write(pool=POOL)
    ran = desk.run("apply", str(desk.folder), "--format", "json")
    assert ran.code == 64
    assert "--auto-approve" in ran.err
    assert desk.run("status").out.endswith("No stack owns anything here.\n")


def test_a_guard_stops_after_the_plan_was_told(desk: Desk) -> None:
    desk.write(pool=POOL)
    desk.apply()
    desk.write(pool=None)
    ran = desk.run("apply", str(desk.folder), "--auto-approve", "--format", "json")
    assert ran.code == 1
    assert [line["code"] for line in lines(ran.out)] == ["Planned"]
    assert "--allow-deletes 1" in ran.err


ROOT = Path(__file__).parents[2]


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_programs_of_the_readme_run(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """The first by itself; the second, of plans that wait for approval, with what the first has loaded."""
    (whole,) = (block for block in python_blocks() if "reconciler.load(" in block)
    (approved,) = (block for block in python_blocks() if "save_plan(" in block)
    shutil.copytree(ROOT / "manifests" / "quickstart", "manifests/quickstart")
    exec(compile(whole, "README", "exec"), {})  # its own main, in its own loop
    said = capsys.readouterr().out
    assert "Acted job/prep-and-release create" in said
    assert "Ended" in said

    text = (desk.folder / "quickstart" / "job.yaml").read_text("utf-8")
    (desk.folder / "quickstart" / "job.yaml").write_text(
        text.replace("name: prep-and-release", "name: nightly"), "utf-8"
    )
    (stack,) = reconciler.load(["manifests/quickstart"])
    known = {"reconciler": reconciler, "stack": stack, "target": reconciler.choose_target(stack.stack), "Path": Path}
    lines = [f"    {line}" if line else line for line in approved.splitlines()]
    program = "\n".join(["async def main():", *lines, "    return result"])
    exec(compile(program, "README", "exec"), known | {"os": os, "asyncio": asyncio}, names := {})
    main = names["main"]
    main.__globals__.update(known | {"os": os})
    assert asyncio.run(main()).end is reconciler.End.SETTLED
    assert "job/nightly" in desk.run("status").out
