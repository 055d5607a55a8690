"""Task groups and the merge task: what templates become, and what is refused."""

# ruff: noqa: E501 - a table shows a manifest and its findings side by side

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import groups, load
from reconciler.model.desired import Desired, Wanted
from reconciler.model.table import normalise
from reconciler.model.task import TaskSpec

Findings = Callable[..., list[str]]
Load = Callable[..., Desired]

JOB = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: j}\nspec: {poolInfo: {poolId: p}, usesTaskDependencies: true}\n"
GROUP = JOB + "taskGroups:\n- name: g\n"
TAKEN = "expected an id that no other task of the job has, found"


def job(desired: Desired) -> Wanted:
    (wanted,) = (it for it in desired.objects.values() if it.name == "j")
    return wanted


def commands(wanted: Wanted) -> dict[str, object]:
    return {task.name: task.body["commandLine"] for task in wanted.tasks.values()}


def group(parameters: str, id_: str, command: str = "x", more: str = "") -> str:
    return GROUP + f"  parameters: {parameters}\n  template: {{id: '{id_}', commandLine: '{command}'{more}}}\n"


def test_a_product_of_parameters_the_last_changes_fastest(loaded: Load) -> None:
    text = group(
        "{q: {values: [low, 2.5, true]}, n: {range: {first: 8, last: 12, step: 2, width: 2}}}",
        "${item.n}-${item.q.id}",
        "run ${item.q}",
    )
    assert commands(job(loaded(text))) == {
        "08-low": "run low",
        "10-low": "run low",
        "12-low": "run low",
        "08-2-5": "run 2.5",
        "10-2-5": "run 2.5",
        "12-2-5": "run 2.5",
        "08-true": "run true",
        "10-true": "run true",
        "12-true": "run true",
    }


def test_a_reference_without_quotes_keeps_the_type_of_its_value(loaded: Load) -> None:
    lines = '  parameters: {n: {range: {last: 2}}, s: {values: ["3"]}}\n  template:\n    id: t${item.n}\n    commandLine: ${item.s}\n    requiredSlots: ${item.n}\n'
    first, second = job(loaded(GROUP + lines)).tasks.values()
    assert first.body == {"id": "t1", "commandLine": "3", "requiredSlots": 1}
    assert second.spec == normalise(TaskSpec, {"id": "t2", "commandLine": "3", "requiredSlots": 2})


def test_shell_variables_literals_and_other_references_mix_with_items(loaded: Load) -> None:
    stack = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\nspec: {variables: {v: {default: '$${item.n}'}}}\n---\n"
    text = stack + group("{n: {range: {last: 1}}}", "t${item.n}", "${HOME} $${item.n} ${var.v} ${env.E} ${item.n}")
    wanted = job(loaded(text, environment={"E": "${item.n}"}))
    assert commands(wanted) == {"t1": "${HOME} ${item.n} ${item.n} ${item.n} 1"}


def test_files_below_the_manifest_in_the_order_of_their_paths(folder: Path) -> None:
    (folder / "in/b").mkdir(parents=True)
    for name in ("in/z.csv", "in/b/a 1.csv", "in/.hidden.csv", "in/note.txt"):
        (folder / name).write_text("")
    (folder / "m.yaml").write_text(
        group("{f: {files: 'in/**/*.csv'}}", "${item.f.id}", "${item.f} ${item.f.name} ${item.f.stem}")
    )
    for here in (["m.yaml"], [str(folder / "m.yaml")], ["."]):
        assert commands(job(load(here, variables={}, environment={}))) == {
            "in-b-a-1-csv": "in/b/a 1.csv a 1.csv a 1",
            "in-z-csv": "in/z.csv z.csv z",
        }


def test_rows_of_a_csv_file(folder: Path) -> None:
    (folder / "rows.csv").write_bytes('\ufefftag,count,text\r\na-1,2,"x, ""y"""\r\n\r\nb,3,\r\n'.encode())
    lines = "  parameters: {row: {csv: rows.csv}}\n  template:\n    id: t-${item.row.tag}\n    commandLine: echo ${item.row.text}.\n    requiredSlots: ${item.row.count}\n"
    (folder / "m.yaml").write_text(GROUP + lines)
    tasks = job(load(["m.yaml"], variables={}, environment={})).tasks
    assert [task.body for task in tasks.values()] == [
        {"id": "t-a-1", "commandLine": 'echo x, "y".', "requiredSlots": 2},
        {"id": "t-b", "commandLine": "echo .", "requiredSlots": 3},
    ]


def test_listed_tasks_come_first_and_the_merge_task_last(loaded: Load) -> None:
    text = (
        group("{n: {range: {last: 2}}}", "G${item.n}")
        + "tasks: [{id: z, commandLine: x}]\nmergeTask: {id: m, commandLine: x}\n"
    )
    wanted = job(loaded(text))
    assert [(id_, task.name) for id_, task in wanted.tasks.items()] == [
        ("z", "z"),
        ("g1", "G1"),
        ("g2", "G2"),
        ("m", "m"),
    ]
    assert wanted.tasks["m"].body["dependsOn"] == {"taskIds": ["z", "G1", "G2"]}
    assert "g3" not in wanted.tasks
    assert wanted.tasks.keys() - {"z", "m"} == {"g1", "g2"}


def test_a_merge_task_names_plain_numbers_by_ranges(loaded: Load) -> None:
    listed = "".join(f"- {{id: '{id_}', commandLine: x}}\n" for id_ in ("0", "7", "007", "n", "4000000000", "2000"))
    text = (
        group("{n: {range: {first: 8, last: 1999}}}", "${item.n}")
        + f"tasks:\n{listed}mergeTask: {{id: m, commandLine: x}}\n"
    )
    assert job(loaded(text)).tasks["m"].body["dependsOn"] == {
        "taskIds": ["007", "n", "4000000000"],
        "taskIdRanges": [{"start": 0, "end": 0}, {"start": 7, "end": 2000}],
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("mergeTask: {id: m, commandLine: x}\n", ["6:1: mergeTask: expected tasks or taskGroups for it to wait for, found none"]),
        (
            "mergeTask: {id: m, commandLine: x, dependsOn: {taskIds: [a]}}\ntasks: [{id: a, commandLine: x}]\n",
            ["6:36: mergeTask.dependsOn: expected no dependsOn: a merge task depends on all other declared tasks by itself"],
        ),
        (
            "mergeTask: {id: A, commandLine: x}\ntasks: [{id: a, commandLine: x}]\n",
            [f"6:17: mergeTask.id: {TAKEN} 'A', the id of tasks[0] on line 7"],
        ),
        (
            "tasks: [{id: a, commandLine: x}]\nmergeTask: {id: m}\n",
            ["7:12: mergeTask.commandLine: expected a value for 'commandLine', found none"],
        ),
    ],
)  # fmt: skip
def test_a_wrong_merge_task(findings: Findings, lines: str, expected: list[str]) -> None:
    assert findings(JOB + "  \n" + lines) == expected


def test_a_merge_task_needs_a_job_with_dependencies(findings: Findings) -> None:
    text = (
        JOB.replace(", usesTaskDependencies: true", "")
        + "tasks: [{id: a, commandLine: x}]\nmergeTask: {id: m, commandLine: x}\n"
    )
    message = "expected 'usesTaskDependencies: true' in spec, found none: a merge task depends on other tasks"
    assert findings(text) == [f"6:1: mergeTask: {message}"]


def test_a_merge_task_cannot_name_more_than_the_service_takes(findings: Findings) -> None:
    text = group("{n: {range: {last: 8001, width: 7}}}", "t${item.n}") + "mergeTask: {id: m, commandLine: x}\n"
    message = "expected at most 64,000 characters of ids to depend on, found 64,008: use plain numbers as ids"
    assert findings(text) == [f"9:1: mergeTask: {message}"]
    assert findings(text.replace("8001", "8000")) == []
    assert findings(text.replace("t${", "${").replace(", width: 7", "")) == []


@pytest.mark.parametrize(
    ("parameters", "template", "expected"),
    [
        ("{n: {range: {last: 3}}}", "id: t, commandLine: x", ["8:18: taskGroups[0].template.id: expected an id that differs for each of the 3 tasks: put ${item.n} into it"]),
        (
            "{n: {range: {last: 3}}, m: {values: [a, b]}}",
            "id: 't${item.m}', commandLine: x",
            ["8:18: taskGroups[0].template.id: expected an id that differs for each of the 6 tasks: put ${item.n} into it"],
        ),
        (
            "{m: {values: [b, a, A, a, 'a']}}",
            "id: 't${item.m}', commandLine: x",
            [f"8:18: taskGroups[0].template.id: {TAKEN} 't${{item.m}}' for m='A', the id of taskGroups[0] for m='a' on line 8 (2 more of the group are taken)"],
        ),
        (
            "{m: {values: [x y, ok, '']}}",
            "id: '${item.m}', commandLine: x",
            ["8:18: taskGroups[0].template.id: expected 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_', found '${item.m}'"],
        ),
        (
            "{m: {values: [ok, x y, '']}}",
            "id: '${item.m}', commandLine: x",
            ["8:18: taskGroups[0].template.id: expected 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_', found '${item.m}' for m='x y' and 1 more"],
        ),
        (
            "{n: {range: {last: 300}}}",
            "id: 't${item.n}', commandLine: x, requiredSlots: '${item.n}'",
            ["8:63: taskGroups[0].template.requiredSlots: expected a whole number, found '${item.n}': write it without quotes on a line of its own"],
        ),
        (
            "{n: {range: {last: 300}}}",
            "id: 't${item.n}', commandLine: x, constraints: {maxWallClockTime: 'PT${item.n}'}",
            ["8:80: taskGroups[0].template.constraints.maxWallClockTime: expected an ISO 8601 duration such as PT10M or P1DT2H, found 'PT${item.n}'"],
        ),
        (
            "{n: {range: {last: 2}}, d: {values: [1M, 1W]}}",
            "id: 't${item.n}${item.d}', commandLine: x, constraints: {maxWallClockTime: 'PT${item.d}'}",
            ["8:89: taskGroups[0].template.constraints.maxWallClockTime: expected an ISO 8601 duration such as PT10M or P1DT2H, found 'PT${item.d}' for n=1, d='1W' and 1 more"],
        ),
        (
            "{frame: {range: {last: 2}}}",
            "id: 't${item.fram}', commandLine: '${item.frame.x}'",
            [
                "8:18: taskGroups[0].template.id: expected a parameter of the group, found '${item.fram}' (did you mean 'frame'?)",
                "8:48: taskGroups[0].template.commandLine: expected one of ${item.frame}, ${item.frame.id}, found '${item.frame.x}'",
            ],
        ),
        (
            "{n: {range: {last: 2}}}",
            "commandLine: '${item.}'",
            [
                "8:13: taskGroups[0].template.id: expected a value for 'id', found none",
                "8:27: taskGroups[0].template.commandLine: expected ${item.NAME} with a name of letters, digits, '_' and '-', and a closing '}', found '${item.}' (a literal '${' is '$${')",
            ],
        ),
        ("{n: {range: {first: 3, last: 2}}}", "id: t, commandLine: x", ["7:27: taskGroups[0].parameters.n.range: expected a last number that is not below the first (3)"]),
        ("{n: {values: []}}", "id: t, commandLine: x", ["7:28: taskGroups[0].parameters.n.values: expected at least 1 item, found none"]),
        ("{n: {values: [[a]]}}", "id: t, commandLine: x", ["7:29: taskGroups[0].parameters.n.values[0]: expected a text, a number, true or false"]),
        ("{n: {}}", "id: t, commandLine: x", ["7:19: taskGroups[0].parameters.n: expected exactly one of values, range, files and csv, found none"]),
        ("{}", "id: t, commandLine: x", ["7:15: taskGroups[0].parameters: expected at least 1 item, found none"]),
        ("{n: {files: '*.csv'}}", "id: t, commandLine: x", ["7:27: taskGroups[0].parameters.n.files: expected at least one file that matches '*.csv', found none"]),
        ("{n: {files: '../*'}}", "id: t, commandLine: x", ["7:27: taskGroups[0].parameters.n.files: expected a path below the folder of the manifest, without '..', found '../*'"]),
        ("{n: {csv: /etc/passwd}}", "id: t, commandLine: x", ["7:25: taskGroups[0].parameters.n.csv: expected a path below the folder of the manifest, without '..', found '/etc/passwd'"]),
        ("{n: {csv: no.csv}}", "id: t, commandLine: x", ["7:25: taskGroups[0].parameters.n.csv: expected a readable CSV file, found: 'no.csv': No such file or directory"]),
        ("{a: {range: {last: 9999}}, b: {range: {last: 101}}}", "id: t, commandLine: x", ["7:15: taskGroups[0].parameters: expected at most 1,000,000 tasks, found 1,009,899 combinations"]),
    ],
)  # fmt: skip
def test_a_wrong_group(findings: Findings, parameters: str, template: str, expected: list[str]) -> None:
    assert findings(GROUP + f"  parameters: {parameters}\n  template: {{{template}}}\n") == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "expected rows below the names of the columns, found none in 'r.csv'"),
        ("a,b\n", "expected rows below the names of the columns, found none in 'r.csv'"),
        ("a,b\n1\n", "expected 2 cells in each row, found 1 on line 2 of 'r.csv'"),
        ("a,a\n1,2\n", "expected each column of 'r.csv' once, found 'a' again"),
        ("a,b c\n1,2\n", "expected names of columns (letters, digits, '_' and '-', a letter or '_' first) in the first row of 'r.csv', found 'b c'"),
        ('a\n"x\n', "expected CSV, found on line 2 of 'r.csv': unexpected end of data"),
        (b"a\n\xff\n", "expected a CSV file in UTF-8, found other bytes in 'r.csv'"),
    ],
)  # fmt: skip
def test_a_wrong_csv_file(folder: Path, findings: Findings, content: str | bytes, expected: str) -> None:
    (folder / "r.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    text = group("{r: {csv: r.csv}}", "t${item.r.a}")
    assert findings(text) == [f"7:25: taskGroups[0].parameters.r.csv: {expected}"]


def test_a_link_out_of_the_folder_is_refused(folder: Path, findings: Findings) -> None:
    (folder.parent / "secret.csv").write_text("a\n1\n")
    (folder / "r.csv").symlink_to(folder.parent / "secret.csv")
    out = "expected files below the folder of the manifest, found a link out of it: r.csv"
    assert findings(group("{r: {csv: r.csv}}", "t${item.r.a}")) == [f"7:25: taskGroups[0].parameters.r.csv: {out}"]
    assert findings(group("{r: {files: '*.csv'}}", "t${item.r.id}")) == [
        f"7:27: taskGroups[0].parameters.r.files: {out}"
    ]


def test_ids_of_groups_listed_and_own_tasks_are_told_apart(findings: Findings) -> None:
    second = (
        "- name: h\n  parameters: {n: {range: {first: 2, last: 3}}}\n  template: {id: 'T${item.n}', commandLine: x}\n"
    )
    text = group("{n: {range: {last: 2}}}", "t${item.n}") + second + "tasks: [{id: T1, commandLine: x}]\n"
    text = text.replace("poolId: p}", "poolId: p}, jobManagerTask: {id: t3, commandLine: m}")
    assert findings(text) == [
        f"8:18: taskGroups[0].template.id: {TAKEN} 't${{item.n}}' for n=1, the id of tasks[0] on line 12",
        f"11:18: taskGroups[1].template.id: {TAKEN} 'T${{item.n}}' for n=2, the id of taskGroups[0] for n=2 on line 8 (1 more of the group are taken)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        JOB.replace("poolId: p", "poolId: '${item.n}'"),
        JOB + "tasks: [{id: '${item.n}', commandLine: x}]\n",
        group("{n: {values: ['${item.n}']}}", "t${item.n}"),
    ],
)
def test_items_exist_in_templates_only(findings: Findings, text: str) -> None:
    (found,) = findings(text)
    assert "expected ${item.NAME} in the template of a task group only, found '${item.n}'" in found


def test_files_need_a_manifest_in_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys
    from types import SimpleNamespace

    text = group("{f: {files: '*'}}", "${item.f.id}").encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    with pytest.raises(ManifestErrors, match="expected a manifest in a file: standard input has no folder"):
        load(["-"], variables={}, environment={})


def test_no_finding_shows_a_value_of_the_environment(findings: Findings) -> None:
    text = group("{v: {values: [ok, '${env.S}', '${env.S}']}}", "${item.v}", "${env.S}", ", requiredSlots: '${item.v}'")
    found = findings(text, environment={"S": "open sesame"})
    assert found
    assert not any("sesame" in line for line in found)


def test_the_digest_knows_template_parameters_and_listed_tasks(loaded: Load) -> None:
    base = group("{n: {range: {last: 3}}, m: {values: [a, b]}}", "t${item.n}${item.m}", "run")
    same = [base, base.replace("- name: g", "- name: other")]
    other = [
        base.replace("last: 3", "last: 4"),
        base.replace("[a, b]", "[a, c]"),
        base.replace("[a, b]", "[b, a]"),
        base.replace("'run'", "'run2'"),
        base.replace("'run'", "'run ${item.n}'"),
        base.replace("'run'", "'run $${item.n}'"),
        base + "tasks: [{id: x, commandLine: x}]\n",
    ]
    (one,) = {job(loaded(text)).tasks_digest for text in same}
    others = [job(loaded(text)).tasks_digest for text in other]
    assert len({one, *others}) == len(other) + 1


def test_without_groups_the_digest_is_that_of_the_listed_tasks(loaded: Load) -> None:
    listed = JOB + "tasks: [{id: x, commandLine: x}]\n"
    assert job(loaded(listed)).tasks_digest == job(loaded(listed + "taskGroups: []\n")).tasks_digest


def test_a_group_keeps_no_tasks(loaded: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = job(loaded(group("{n: {range: {last: 1000}}}", "${item.n}"))).tasks
    assert tasks["5"] is not tasks["5"]
    assert tasks["5"] == tasks["5"] != tasks["6"]
    assert tasks["5"].spec == tasks["5"].spec == normalise(TaskSpec, tasks["5"].body)
    assert normalise(TaskSpec, tasks["5"].body) == tasks["5"].spec != tasks["6"].spec


def test_the_number_of_tasks_of_a_group_is_bounded_before_they_are_made(
    findings: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MOST_TASKS", 3)
    assert findings(group("{n: {range: {last: 3}}}", "${item.n}")) == []
    assert len(findings(group("{n: {range: {last: 4}}}", "${item.n}"))) == 1


def test_memory_grows_with_ids_not_with_tasks(loaded: Load) -> None:
    count = 20_000
    text = group(f"{{n: {{range: {{last: {count}}}}}}}", "t${item.n}", "run ${item.n}", ", displayName: '${item.n}'")
    loaded(text)
    tracemalloc.start()
    wanted = job(loaded(text))
    kept, _ = tracemalloc.get_traced_memory()
    assert wanted.tasks_digest
    assert all(task.spec["displayName"] in task.name for task in wanted.tasks.values())
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / count < 400
    assert after - kept < 200_000


def test_secrets_of_a_group_are_looked_at_once_where_they_do_not_vary(loaded: Load) -> None:
    registry = "containerSettings: {imageName: i, registry: {registryServer: r, username: u, password: '%s'}}"
    more = ", " + registry % "hush"
    same = job(loaded(group("{n: {range: {first: 1, last: 3}}}", "t${item.n}", more=more)))
    assert len(list(same.tasks.different_secrets())) == 1  # type: ignore[attr-defined]
    more = ", " + registry % "hush-${item.n}"
    each = job(loaded(group("{n: {range: {first: 1, last: 3}}}", "t${item.n}", more=more)))
    assert len(list(each.tasks.different_secrets())) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("tasks", ["tasks:\n- {id: t, commandLine: x%s}\n", "group"])
def test_a_run_is_another_one_where_what_is_fixed_in_tasks_changed(loaded: Load, tasks: str) -> None:
    """Not for a display name, nor for a constraint: tasks that ran would have run just so."""

    def run(more: str) -> str:
        listed = JOB + tasks % more if "%s" in tasks else group("{n: {values: [1]}}", "t${item.n}", more=more)
        return job(loaded(listed)).tasks_run_digest

    assert run("") == run(", displayName: shown") == run(", constraints: {maxTaskRetryCount: 2}")
    assert run("") != run(", requiredSlots: 2")
