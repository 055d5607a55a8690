"""Guards as a person meets them: after the whole plan, with what allows it, by a flag or by a commit."""

import json
import shutil
from datetime import UTC, datetime, timedelta

from commands.conftest import JOB, POOL, STACK, Desk

CONSENT = (
    'apiVersion: reconciler/v1\nkind: Stack\nmetadata:\n  name: s\n  annotations: {reconciler/allow-deletes: "%s"}\n'
)


def fill(desk: Desk, jobs: int = 11) -> None:
    """A pool and jobs, applied."""
    desk.write(pool=POOL)
    for number in range(jobs):
        desk.write(**{f"job{number}": JOB.replace("{name: j}", f"{{name: j{number}}}")})
    desk.apply()


def empty(desk: Desk, jobs: int = 11) -> None:
    """The jobs out of the manifests."""
    desk.write(**{f"job{number}": None for number in range(jobs)})


def jobs(desk: Desk) -> int:
    return len(desk.simulation.get("/jobs")["value"])


def test_a_guard_stops_after_the_whole_plan_was_shown_until_a_commit_consents(desk: Desk) -> None:
    fill(desk)
    empty(desk)
    stopped = desk.run("apply", str(desk.folder), "--auto-approve", "--detailed-exitcode")
    assert stopped.code == 4
    assert jobs(desk) == 11
    assert desk.run("apply", str(desk.folder), "--auto-approve").code == 1
    summary = stopped.out.index("Plan: 0 to add, 0 to change, 11 to terminate, 11 to delete.")
    assert stopped.out.index("- job/j9: delete") < summary < stopped.out.index("Apply stops here:")
    assert "  ! deletes: 11 of 12 owned objects would be removed, more than 30 %\n" in stopped.out
    assert "      override: --allow-deletes 11\n" in stopped.out
    assert stopped.err == (
        "error: 11 of 12 owned objects would be removed, more than 30 % (spec.guards.deletes of the Stack: 30 % and "
        "at least 10); allow it with --allow-deletes 11\n"
    )

    now = datetime.now(UTC)
    desk.write(stack=CONSENT % f"11 until {now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    ended = desk.run("plan", str(desk.folder))
    assert "Apply stops here:" in ended.out
    assert "reconciler/allow-deletes (11) ended" in ended.out

    desk.write(stack=CONSENT % f"11 until {now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}")
    assert desk.run("apply", str(desk.folder), "--auto-approve").code == 0
    assert jobs(desk) == 0


def test_programs_read_the_guards_too(desk: Desk) -> None:
    fill(desk)
    empty(desk)
    (guard,) = json.loads(desk.run("plan", str(desk.folder), "--format", "json").out)["guards"]
    assert (guard["rule"], guard["stops"], len(guard["addresses"])) == ("deletes", True, 11)
    assert guard["override"] == "--allow-deletes 11"


def test_the_stack_sets_what_is_much(desk: Desk) -> None:
    fill(desk, 2)
    desk.write(job0=None, stack=f"{STACK}spec: {{guards: {{deletes: {{share: 10, count: 1}}}}}}\n")
    stopped = desk.run("apply", str(desk.folder), "--auto-approve")
    assert stopped.code == 1
    assert "! deletes: 1 of 3 owned objects would be removed, more than 10 %" in stopped.out
    desk.write(stack=f"{STACK}spec: {{guards: {{deletes: {{share: 100, count: 1}}}}}}\n")
    assert desk.run("apply", str(desk.folder), "--auto-approve").code == 0
    assert jobs(desk) == 1


def test_a_folder_without_manifests_is_told_and_stops(desk: Desk) -> None:
    fill(desk, 1)
    desk.write(pool=None, job0=None, stack=None)
    why = "no manifest was found, not even a Stack, and the account has no object of a stack 'manifests'"
    others = "The account also holds objects of stack 's' (2 objects), of which these manifests do not speak."
    planned = desk.run("plan", str(desk.folder), "--detailed-exitcode")
    assert planned.code == 2
    assert f"  ! empty-source: {why}" in planned.out.splitlines()
    assert others in planned.out.splitlines()
    assert desk.run("apply", str(desk.folder), "--auto-approve").code == 1
    assert desk.run("apply", str(desk.folder), "--auto-approve", "--allow-deletes", "0").code == 0
    assert jobs(desk) == 1
    checked = desk.run("validate", str(desk.folder))
    assert (checked.code, checked.err.partition(" in ")[0]) == (0, "warning: no manifest was found")
    assert desk.run("validate", str(desk.folder), "--strict").code == 64


def test_what_is_protected_is_kept_and_the_rest_goes_on(desk: Desk) -> None:
    desk.write(pool=POOL, job=JOB + "lifecycle: {preventDestroy: true}\n")
    desk.apply()
    desk.write(job=None, other=JOB.replace("{name: j}", "{name: other}"))
    ran = desk.run("apply", str(desk.folder), "--auto-approve", "--no-wait")
    assert ran.code == 0
    assert "  ! prevent-destroy: job/j is kept, and no manifest declares it\n" in ran.out
    assert jobs(desk) == 2


def test_stacks_of_one_folder_do_not_name_one_another(desk: Desk) -> None:
    desk.write(stack=None)
    for name in ("a", "b", "c"):
        folder = desk.folder / name
        folder.mkdir()
        (folder / "stack.yaml").write_text(STACK.replace("{name: s}", f"{{name: {name}}}"))
        (folder / "job.yaml").write_text(JOB.replace("{name: j}", f"{{name: of-{name}}}"))
    desk.apply()
    both = desk.run("plan", str(desk.folder))
    assert both.code == 0
    assert "also holds" not in both.out
    assert "also holds" not in desk.run("plan", str(desk.folder / "a")).out
    assert "also holds" not in desk.run("destroy", str(desk.folder / "a"), "--auto-approve").out
    shutil.rmtree(desk.folder / "c")  # with its Stack, and nobody prunes what it declared
    assert "objects of stack 'c' (1 object)" in desk.run("plan", str(desk.folder)).out
