"""What the end of a task means to its job and its dependants, as a table."""

from __future__ import annotations

import pytest

from reconciler.emulator import exits, failures
from reconciler.emulator.ports import Ended
from reconciler.emulator.records import Execution, Job, Task

NAMES = ("code", "range", "preProcessingError", "fileUploadError", "default")


def conditions(*names):
    """Exit conditions of these names: code 3, range 2 to 4; the name stands where an action would."""
    options = {name: {"dependencyAction": name} for name in names}
    found = {name: option for name, option in options.items() if name not in ("code", "range")}
    if "code" in options:
        found["exitCodes"] = [{"code": 3, "exitOptions": options["code"]}]
    if "range" in options:
        found["exitCodeRanges"] = [{"start": 2, "end": 4, "exitOptions": options["range"]}]
    return found


def ended(exit_code=None, **problems):
    execution = Execution(1)
    failures.close(execution, Ended("run", 2, exit_code=exit_code, **problems))
    return execution


def cut_short():
    execution = Execution(1)
    failures.cut_short(execution, 2, failures.ended_by_user())
    return execution


@pytest.mark.parametrize(
    ("execution", "names", "wanted"),
    [
        (ended(3), NAMES, "code"),
        (ended(3), NAMES[1:], "range"),
        (ended(3), NAMES[2:], "default"),
        (ended(2), NAMES, "range"),
        (ended(4), NAMES, "range"),
        (ended(5), NAMES, "default"),
        (ended(0), NAMES, None),
        (ended(3, upload_problem="FileUploadMiscError"), NAMES, "code"),
        (ended(3, upload_problem="FileUploadMiscError"), NAMES[2:], "fileUploadError"),
        (ended(0, upload_problem="FileUploadMiscError"), NAMES, "fileUploadError"),
        (ended(0, upload_problem="FileUploadMiscError"), ("preProcessingError", "default"), "default"),
        (ended(problem="CommandProgramNotFound"), NAMES, "preProcessingError"),
        (ended(problem="BlobNotFound"), ("fileUploadError", "default"), "default"),
        (cut_short(), NAMES, "default"),
        (cut_short(), NAMES[:4], None),
    ],
)
def test_the_condition_that_applies(execution, names, wanted):
    option = exits.matching_option(conditions(*names), execution)
    assert option == ({"dependencyAction": wanted} if wanted else {})


@pytest.mark.parametrize(
    ("execution", "option", "action", "satisfies"),
    [
        (ended(0), {}, "none", True),
        (ended(1), {}, "terminate", False),
        (ended(0, upload_problem="FileUploadMiscError"), {}, "terminate", False),
        (ended(problem="BlobNotFound"), {}, "terminate", False),
        (cut_short(), {}, "terminate", False),
        (ended(1), {"jobAction": "disable"}, "disable", False),
        (ended(1), {"dependencyAction": "satisfy"}, "terminate", True),
        (cut_short(), {"jobAction": "none", "dependencyAction": "satisfy"}, "none", True),
    ],
)
def test_what_follows_with_and_without_options(execution, option, action, satisfies):
    job = Job("j", {"onTaskFailure": "performexitoptionsjobaction"}, 0, 0, 0, 0)
    spec = {"exitConditions": {"default": option}} if option else {}
    task = Task("t", "j", 1, spec, 0, 0, 0, state="completed", execution=execution)
    assert exits.job_action(job, task) == action
    assert exits.satisfies(task) is satisfies
    job.spec["onTaskFailure"] = "noaction"
    assert exits.job_action(job, task) == "none"
