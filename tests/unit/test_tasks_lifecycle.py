"""What is done for the tasks of a job under each policy, whole steps side by side with the state they answer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.lifecycle import job as job_life
from reconciler.lifecycle.steps import Action, Blocked, Consents, Context, Done, Step, Verb, Wait
from reconciler.lifecycle.tasks import (
    DISABLED_HINT,
    Declared,
    are_listed_by_id,
    are_settled,
    differing_tasks,
    failed,
    missing,
    next_step,
    outwait,
    predict,
    retry_digest,
)
from reconciler.model.desired import Task, Wanted
from reconciler.observed import Guard, LiveJob, LiveTask, Mark

ENDED = "2030-01-01T00:00:05Z"
RETRY = {"maxTaskRetryCount": 3}
CONSENT = "--replace job/j"


def declared(world: Any, policy: str, *tasks: Task, **spec: Any) -> Wanted:
    """A job manifest of tasks t1 and t2, or of *tasks*."""
    made = tasks or (world.task("t1"), world.task("t2"))
    wanted: Wanted = replace(world.job(life={"tasks": policy}, **spec), tasks={task.id: task for task in made})
    return wanted


def there(world: Any, name: str, state: str = "active", command: str = "work", **facts: Any) -> LiveTask:
    """A live task with an ETag of its own; its content is its manifest's unless *command* or *more* differ."""
    more = facts.pop("more", {})
    live: LiveTask = world.live_task(world.task(name, command, **more), state, **facts)
    return replace(live, guard=guard(name))


def guard(name: str) -> Guard:
    return Guard(f"etag of {name}", f"birth of {name}")


def holding(world: Any, wanted: Wanted, *tasks: LiveTask, **facts: Any) -> LiveJob:
    """The live job of a manifest with these tasks, none of them confirmed."""
    facts = {"mark": Mark("s", wanted.digest), "tasks": {task.id: task for task in tasks}, **facts}
    live: LiveJob = world.live_job(wanted, **facts)
    return live


def deletes(reason: str, *names: str) -> Action:
    return Action(Verb.DELETE_TASKS, reason, names=names, guards=tuple(map(guard, names)))


# Adding


@pytest.mark.parametrize("policy", ["AddOnly", "Replace", "Exact", "ReactivateFailed"])
@pytest.mark.parametrize(
    ("names", "here", "state", "reason"),
    [
        ("t1 t2", "", "active", "2 of 2 tasks are not there"),
        ("t1 t2", "t1", "active", "1 of 2 tasks is not there"),
        ("t1", "", "active", "1 of 1 task is not there"),
        ("t1 t2 t3", "t2", "disabled", "2 of 3 tasks are not there"),
    ],
)
def test_missing_tasks_are_added_under_every_policy(
    world: Any, policy: str, names: str, here: str, state: str, reason: str
) -> None:
    wanted = declared(world, policy, *map(world.task, names.split()))
    live = holding(world, wanted, *(there(world, name) for name in here.split()), state=state)
    absent = tuple(name for name in names.split() if name not in here.split())
    hint = DISABLED_HINT if state == "disabled" else ""
    step = Action(Verb.ADD_TASKS, reason, live.guard, tasks=Declared(wanted.tasks, absent), hint=hint)
    assert next_step(wanted, live, world.context) == step


def test_declared_tasks_are_read_one_by_one_and_in_chunks(world: Any) -> None:
    wanted = declared(world, "AddOnly", *map(world.task, ("t1", "t2", "t3")))
    some = Declared(wanted.tasks, ("t1", "t3"))
    assert [len(some), some[1], list(some)] == [2, wanted.tasks["t3"], [wanted.tasks["t1"], wanted.tasks["t3"]]]
    assert some[1:] == Declared(wanted.tasks, ("t3",))


@pytest.mark.parametrize(
    ("policy", "names", "here", "ids", "step"),
    [
        ("AddOnly", "", None, None, None),
        ("Replace", "", None, None, None),
        ("Exact", "", None, None, Wait("its tasks to be listed")),
        ("AddOnly", "t1", None, None, Wait("its tasks to be listed")),
        ("AddOnly", "t1", None, frozenset({"t1"}), Wait("its tasks to be compared")),
        ("AddOnly", "t1", "t1", None, None),
        ("AddOnly", "t1", "t1", frozenset({"t1"}), None),
    ],
)
def test_tasks_are_listed_and_compared_where_they_matter(
    world: Any, policy: str, names: str, here: str | None, ids: frozenset[str] | None, step: Step | None
) -> None:
    wanted = replace(declared(world, policy), tasks={name: world.task(name) for name in names.split()})
    tasks = None if here is None else {here: there(world, here)}
    assert next_step(wanted, holding(world, wanted, tasks=tasks, ids=ids), world.context) == step


@pytest.mark.parametrize(
    ("here", "ids", "forecast", "absent"),
    [
        (None, None, "", ""),  # nobody looked
        (None, None, "t1", "t2"),
        ("", None, "", "t1 t2"),
        ("t1", None, "", "t2"),
        (None, "", "", "t1 t2"),
        (None, "t2", "", "t1"),
        (None, "t2", "t1", ""),
        ("t1", "t2", "", ""),
    ],
)
def test_a_task_is_missed_when_no_list_and_no_forecast_has_it(
    world: Any, here: str | None, ids: str | None, forecast: str, absent: str
) -> None:
    wanted = declared(world, "AddOnly")
    tasks = None if here is None else {name: there(world, name) for name in here.split()}
    listed = None if ids is None else frozenset(ids.split())
    live = holding(world, wanted, tasks=tasks, ids=listed, as_declared=frozenset(forecast.split()))
    assert missing(wanted, live) == Declared(wanted.tasks, tuple(absent.split()))


# Tasks that differ


@pytest.mark.parametrize("policy", ["AddOnly", "Replace", "Exact", "ReactivateFailed"])
def test_constraints_of_unfinished_tasks_are_changed_in_place_under_every_policy(world: Any, policy: str) -> None:
    wanted = declared(world, policy, *(world.task(name, constraints=RETRY) for name in ("t1", "t2", "t3")))
    live = holding(world, wanted, there(world, "t1"), there(world, "t2", "completed"), there(world, "t3", "running"))
    changed = (wanted.tasks["t1"], wanted.tasks["t3"])
    step = Action(Verb.UPDATE_TASKS, "constraints differ", tasks=changed, guards=(guard("t1"), guard("t3")))
    assert next_step(wanted, live, world.context) == step


def test_constraints_are_written_before_a_task_with_other_fixed_fields_is_dealt_with(world: Any) -> None:
    wanted = declared(world, "Replace", world.task("t1"), world.task("t2", constraints=RETRY))
    live = holding(world, wanted, there(world, "t1", command="old"), there(world, "t2"))
    first = next_step(wanted, live, world.context)
    assert isinstance(first, Action)
    assert (first.verb, first.tasks) == (Verb.UPDATE_TASKS, (wanted.tasks["t2"],))
    assert next_step(wanted, predict(live, first), world.context) == deletes(
        "1 task goes: changed (t1: commandLine)", "t1"
    )


FIXED = [
    (1, "1 task exists with other fixed fields (t1: commandLine)"),
    (2, "2 tasks exist with other fixed fields (t1: commandLine; t2: commandLine)"),
    (3, "3 tasks exist with other fixed fields (t1: commandLine; t2: commandLine; t3: commandLine)"),
    (5, "5 tasks exist with other fixed fields (t1: commandLine; t2: commandLine; t3: commandLine and 2 more)"),
]


@pytest.mark.parametrize("policy", ["AddOnly", "ReactivateFailed"])
@pytest.mark.parametrize(("count", "reason"), FIXED)
def test_a_task_with_other_fixed_fields_needs_a_person_where_no_policy_lets_it_go(
    world: Any, policy: str, count: int, reason: str
) -> None:
    names = [f"t{number}" for number in range(1, count + 1)]
    wanted = declared(world, policy, *map(world.task, names))
    live = holding(world, wanted, *(there(world, name, command="old") for name in names))
    way_out = (
        "; a task cannot be changed after it was added: give it another id, or allow it with lifecycle.tasks: Replace"
    )
    assert next_step(wanted, live, world.context) == Blocked(reason + way_out, CONSENT)


DELETED = [
    (1, "1 task goes: changed (t1: commandLine)"),
    (2, "2 tasks go: changed (t1: commandLine; t2: commandLine)"),
    (4, "4 tasks go: changed (t1: commandLine; t2: commandLine; t3: commandLine and 1 more)"),
]


@pytest.mark.parametrize("policy", ["Replace", "Exact"])
@pytest.mark.parametrize(("count", "reason"), DELETED)
def test_changed_tasks_are_deleted_to_be_added_anew(world: Any, policy: str, count: int, reason: str) -> None:
    names = [f"t{number}" for number in range(1, count + 1)]
    wanted = declared(world, policy, *map(world.task, names), world.task("t9"))
    live = holding(world, wanted, *(there(world, name, command="old") for name in names), there(world, "t9"))
    step = next_step(wanted, live, world.context)
    assert step == deletes(reason, *names)
    assert isinstance(step, Action)
    again = next_step(wanted, predict(live, step), world.context)
    assert isinstance(again, Action)
    assert (again.verb, list(again.tasks)) == (Verb.ADD_TASKS, [wanted.tasks[name] for name in names])


def test_all_fields_of_a_changed_task_are_named(world: Any) -> None:
    wanted = declared(
        world, "Replace", world.task("t1", environmentSettings=[{"name": "A", "value": "1"}], requiredSlots=2)
    )
    live = holding(world, wanted, there(world, "t1", command="old"))
    step = deletes("1 task goes: changed (t1: commandLine, environmentSettings, requiredSlots)", "t1")
    assert next_step(wanted, live, world.context) == step


@pytest.mark.parametrize("policy", ["Replace", "Exact"])
@pytest.mark.parametrize(
    ("running", "reason"),
    [
        (
            {"t1": "running"},
            "2 tasks would be deleted, changed (t1: commandLine; t2: commandLine), and t1 runs",
        ),
        (
            {"t1": "preparing", "t2": "running"},
            "2 tasks would be deleted, changed (t1: commandLine; t2: commandLine), and t1, t2 run",
        ),
    ],
)
def test_a_running_task_is_deleted_with_consent_by_name_only(
    world: Any, policy: str, running: Mapping[str, str], reason: str
) -> None:
    wanted = declared(world, policy)
    live = holding(world, wanted, *(there(world, t, running.get(t, "active"), "old") for t in ("t1", "t2")))
    assert next_step(wanted, live, world.context) == Blocked(reason, "--allow-task-loss job/j")
    of_another = Consents(task_loss=frozenset({world.job("other").key}))
    assert isinstance(next_step(wanted, live, Context("s", consents=of_another)), Blocked)
    agreed = Consents(task_loss=frozenset({live.key}))
    step = deletes("2 tasks go: changed (t1: commandLine; t2: commandLine)", "t1", "t2")
    assert next_step(wanted, live, Context("s", consents=agreed)) == step


def test_tasks_that_differ_where_no_line_speaks_of_it_are_not_deleted_nor_those_beside_them(world: Any) -> None:
    settings = {"environmentSettings": [{"name": "A", "value": "1"}]}
    wanted = declared(world, "Replace", *map(world.task, ("t1", "t2", "t3")))
    live = holding(
        world, wanted, there(world, "t1", more=settings), there(world, "t2"), there(world, "t3", command="old")
    )
    reason = "1 task differs and no line of the manifest speaks of it (t1: environmentSettings)"
    assert next_step(wanted, live, world.context) == Blocked(reason, CONSENT)
    both = replace(live, tasks={**(live.tasks or {}), "t2": there(world, "t2", more=settings)})
    reason = (
        "2 tasks differ and no line of the manifest speaks of it (t1: environmentSettings; t2: environmentSettings)"
    )
    assert next_step(wanted, both, world.context) == Blocked(reason, CONSENT)


def test_a_task_goes_for_the_line_that_speaks_whatever_else_differs_silently(world: Any) -> None:
    settings = {"environmentSettings": [{"name": "A", "value": "1"}]}
    wanted = declared(world, "Replace")
    live = holding(world, wanted, there(world, "t1", command="old", more=settings), there(world, "t2"))
    step = next_step(wanted, live, world.context)
    assert isinstance(step, Action)
    assert (step.verb, step.names) == (Verb.DELETE_TASKS, ("t1",))


ENDS = [
    # what the job does when all are over, the state of its other task -> whether the job would end in between
    ("terminatejob", "completed", True),
    ("terminatejob", "active", False),
    ("terminatejob", "running", False),
    ("noaction", "completed", False),
    ("noaction", "active", False),
]


@pytest.mark.parametrize(("ends", "other", "blocked"), ENDS)
def test_no_task_is_deleted_whose_absence_would_end_the_job(world: Any, ends: str, other: str, blocked: bool) -> None:
    wanted = declared(world, "Replace", onAllTasksComplete=ends)
    live = holding(world, wanted, there(world, "t1", "active", "old"), there(world, "t2", other))
    deleted = deletes("1 task goes: changed (t1: commandLine)", "t1")
    refused = Blocked(
        "1 task would be deleted, changed (t1: commandLine), and without them the job ends before they are added anew "
        "(onAllTasksComplete: terminatejob)",
        CONSENT,
    )
    assert next_step(wanted, live, world.context) == (refused if blocked else deleted)


def test_a_task_that_a_forecast_has_written_is_not_compared_and_those_after_it_are(world: Any) -> None:
    wanted = declared(world, "Replace")
    live = holding(
        world, wanted, there(world, "t9"), there(world, "t1", command="old"), there(world, "t2", command="old")
    )
    assert [task.name for task, _ in differing_tasks(wanted, live)] == ["t1", "t2"]
    live = replace(live, as_declared=frozenset({"t1"}))
    assert [task.name for task, _ in differing_tasks(wanted, live)] == ["t2"]


# Tasks that are not declared


@pytest.mark.parametrize("policy", ["AddOnly", "Replace", "ReactivateFailed"])
def test_tasks_that_others_added_are_left_alone_unless_the_policy_is_exact(world: Any, policy: str) -> None:
    wanted = declared(world, policy)
    live = holding(world, wanted, *(there(world, name, "running") for name in ("t1", "t2", "t8")))
    assert next_step(wanted, live, world.context) is None


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ("t8", "1 task goes: not declared (t8)"),
        ("t6 t7 t8", "3 tasks go: not declared (t6, t7, t8)"),
        ("t5 t6 t7 t8 t9", "5 tasks go: not declared (t5, t6, t7 and 2 more)"),
    ],
)
def test_tasks_that_others_added_go_where_the_policy_is_exact(world: Any, others: str, reason: str) -> None:
    wanted = declared(world, "Exact")
    mine = (there(world, "t1"), there(world, "t2"))
    live = holding(world, wanted, *mine, *(there(world, name) for name in others.split()))
    assert next_step(wanted, live, world.context) == deletes(reason, *others.split())
    assert next_step(wanted, holding(world, wanted, *mine), world.context) is None


def test_a_running_task_of_others_goes_with_consent_only(world: Any) -> None:
    wanted = declared(world, "Exact")
    live = holding(world, wanted, *(there(world, name, "running") for name in ("t1", "t2", "t8")))
    refused = Blocked("1 task would be deleted, not declared (t8), and t8 runs", "--allow-task-loss job/j")
    assert next_step(wanted, live, world.context) == refused
    agreed = Context("s", consents=Consents(task_loss=frozenset({live.key})))
    assert next_step(wanted, live, agreed) == deletes("1 task goes: not declared (t8)", "t8")


# Forecasts


def test_added_and_changed_tasks_are_forecast_as_declared(world: Any) -> None:
    wanted = declared(world, "AddOnly")
    new = holding(world, wanted, tasks=None, ids=frozenset())
    add = Action(Verb.ADD_TASKS, "", tasks=Declared(wanted.tasks, ("t1", "t2")))
    both = frozenset({"t1", "t2"})
    assert predict(new, add) == replace(new, tasks={}, as_declared=both)
    assert predict(replace(new, ids=None), add) == replace(new, tasks={}, ids=None, as_declared=both)
    # What was listed by id has still to be compared.
    listed = replace(new, ids=frozenset({"t1"}))
    second = Action(Verb.ADD_TASKS, "", tasks=Declared(wanted.tasks, ("t2",)))
    assert predict(listed, second) == replace(listed, as_declared=frozenset({"t2"}))
    assert outwait(predict(listed, second)) == replace(listed, tasks={}, as_declared=both)
    # Tasks that were listed stay so, with what an earlier step of the forecast did.
    known = holding(world, wanted, there(world, "t1"), as_declared=frozenset({"t2"}))
    update = Action(Verb.UPDATE_TASKS, "", tasks=(wanted.tasks["t1"],))
    assert predict(known, update) == replace(known, as_declared=both)
    assert outwait(known) == known
    unlisted = replace(new, ids=None, as_declared=frozenset({"t2"}))
    assert outwait(unlisted) == replace(unlisted, tasks={})


def test_deleted_tasks_are_forecast_as_gone_and_missed_where_they_are_declared(world: Any) -> None:
    wanted = declared(world, "Exact", world.task("T1"), world.task("t2"))
    delete = Action(Verb.DELETE_TASKS, "", names=("T1", "t9"))
    two = (there(world, "T1"), there(world, "t2"))
    live = holding(world, wanted, *two, ids=frozenset({"t1", "t2", "t9"}), as_declared=frozenset({"t1", "t2"}))
    left = frozenset({"t2"})
    after = replace(live, tasks={"t2": two[1]}, ids=left, as_declared=left)
    assert predict(live, delete) == after
    assert predict(replace(live, ids=None), delete) == replace(after, ids=None)
    assert predict(replace(live, tasks=None), delete) == replace(after, tasks={})
    assert missing(wanted, after).ids == ("t1",)


def test_reactivated_tasks_are_forecast_as_active_and_the_others_as_they_were(world: Any) -> None:
    wanted = declared(world, "ReactivateFailed", world.task("T1"), world.task("t2"))
    one, two = (there(world, name, "completed", failed=True, ended=ENDED) for name in ("T1", "t2"))
    live = holding(world, wanted, one, two)
    again = predict(live, Action(Verb.REACTIVATE_TASKS, "", names=("T1",)))
    assert again == replace(live, tasks={"t1": replace(one, state="active", failed=False, ended=""), "t2": two})
    unlisted = replace(live, tasks=None)
    assert predict(unlisted, Action(Verb.REACTIVATE_TASKS, "", names=("T1",))) == replace(live, tasks={})


def test_a_forecast_of_what_tasks_do_not_know_is_a_fault_of_ours(world: Any) -> None:
    wanted = declared(world, "AddOnly")
    with pytest.raises(AssertionError, match="tasks know no terminate"):
        predict(holding(world, wanted), Action(Verb.TERMINATE, ""))


# Failed tasks


def test_failed_tasks_are_those_declared_that_had_ended_by_then(world: Any) -> None:
    wanted = declared(world, "ReactivateFailed", *map(world.task, ("t1", "t2", "t3", "t4")))
    bad = {"state": "completed", "failed": True}
    never = there(world, "t1", **bad)  # a dependency that failed: it did not run
    early, late = there(world, "t2", ended=ENDED, **bad), there(world, "t3", ended="2030-01-01T00:00:06Z", **bad)
    well, other = there(world, "t4", "completed", ended=ENDED), there(world, "t9", ended=ENDED, **bad)
    live = holding(world, wanted, never, early, late, well, other)
    assert failed(wanted, live) == (never, early, late)
    assert failed(wanted, live, ENDED) == (never, early)
    assert failed(wanted, replace(live, tasks=None)) == ()


def test_failed_tasks_run_again_after_the_mark_said_so_and_are_then_confirmed(world: Any) -> None:
    wanted = declared(world, "ReactivateFailed", onAllTasksComplete="noaction", metadata=[{"name": "a", "value": "1"}])
    mark = Mark("s", wanted.digest, "before", "n0nce", retried="of another manifest")
    bad = {"state": "completed", "failed": True}
    never, ran = there(world, "t1", **bad), there(world, "t2", ended=ENDED, **bad)
    live = holding(world, wanted, never, ran, mark=mark)

    noted = replace(mark, retried=f"{retry_digest(wanted)}@{ENDED}")
    body = {"metadata": [{"name": "a", "value": "1"}]}
    step = job_life.next_step(wanted, live, world.context)
    assert step == Action(Verb.UPDATE, "2 failed tasks are to run again", live.guard, body, noted)
    alone = replace(live, tasks={"t1": there(world, "t1"), "t2": ran})
    step = job_life.next_step(wanted, alone, world.context)
    assert step == Action(Verb.UPDATE, "1 failed task is to run again", live.guard, body, noted)

    live = replace(live, mark=noted)
    step = job_life.next_step(wanted, live, world.context)
    assert step == Action(
        Verb.REACTIVATE_TASKS,
        "failed, and the manifest changed since",
        names=("t1", "t2"),
        guards=(guard("t1"), guard("t2")),
    )

    confirmed = replace(noted, tasks=wanted.tasks_digest, retried=retry_digest(wanted))
    live = predict(live, step)
    step = job_life.next_step(wanted, live, world.context)
    assert step == Action(Verb.CONFIRM_TASKS, "all tasks are in", live.guard, body, confirmed)
    assert job_life.next_step(wanted, replace(live, mark=confirmed), world.context) == Done("as its manifest says")


def test_failed_tasks_run_again_for_a_change_of_the_job_as_of_a_task(world: Any) -> None:
    wanted = declared(world, "ReactivateFailed")
    others = (
        declared(world, "ReactivateFailed", priority=5),
        declared(world, "ReactivateFailed", world.task("t1", "other")),
    )
    assert len({retry_digest(each) for each in (wanted, *others)}) == 3
    assert retry_digest(wanted) == retry_digest(declared(world, "ReactivateFailed"))


# What the mark tells


@pytest.mark.parametrize(
    ("policy", "confirmed", "retried", "looks", "settled"),
    [
        ("AddOnly", True, False, False, True),
        ("AddOnly", False, False, False, False),
        ("AddOnly", True, False, True, False),
        ("Replace", True, False, False, True),
        ("Exact", True, False, False, False),
        ("ReactivateFailed", True, True, False, True),
        ("ReactivateFailed", True, False, False, False),
    ],
)
def test_tasks_are_not_looked_at_where_the_mark_says_enough(
    world: Any, policy: str, confirmed: bool, retried: bool, looks: bool, settled: bool
) -> None:
    wanted = declared(world, policy)
    mark = Mark("s", wanted.digest, wanted.tasks_digest if confirmed else "before")
    mark = replace(mark, retried=retry_digest(wanted) if retried else "")
    live = holding(world, wanted, mark=mark)
    assert are_settled(wanted, live, replace(world.context, check_tasks=looks)) is settled


def test_ids_are_enough_only_while_this_manifests_tasks_are_being_added(world: Any) -> None:
    wanted = declared(world, "AddOnly")
    filling = holding(world, wanted, tasks=None)
    assert are_listed_by_id(wanted, filling)
    assert are_listed_by_id(wanted, replace(filling, ids=frozenset({"t1"})))
    assert not are_listed_by_id(wanted, replace(filling, ids=frozenset({"t1", "t2"})))
    for mark in (None, Mark("s", wanted.digest, "confirmed"), Mark("s", "of another manifest")):
        assert not are_listed_by_id(wanted, replace(filling, mark=mark))


@pytest.mark.parametrize("policy", ["Replace", "Exact"])
def test_before_a_confirmed_task_is_deleted_the_mark_says_that_not_all_are_in(world: Any, policy: str) -> None:
    wanted = declared(world, policy, metadata=[{"name": "a", "value": "1"}])
    confirmed = Mark("s", wanted.digest, wanted.tasks_digest, "n0nce")
    live = holding(world, wanted, there(world, "t1", command="old"), there(world, "t2"), mark=confirmed)
    looking = replace(world.context, check_tasks=True)
    body = {"metadata": [{"name": "a", "value": "1"}]}
    first = Action(Verb.UPDATE, "tasks are to be added anew", live.guard, body, replace(confirmed, tasks=""))
    assert job_life.next_step(wanted, live, looking) == first
    second = deletes("1 task goes: changed (t1: commandLine)", "t1")
    assert job_life.next_step(wanted, replace(live, mark=first.mark), looking) == second


def test_a_task_of_others_is_deleted_without_a_word_in_the_mark(world: Any) -> None:
    wanted = declared(world, "Exact")
    confirmed = Mark("s", wanted.digest, wanted.tasks_digest)
    live = holding(world, wanted, *(there(world, name) for name in ("t1", "t2", "t9")), mark=confirmed)
    assert job_life.next_step(wanted, live, world.context) == deletes("1 task goes: not declared (t9)", "t9")
