"""Several stacks: in one folder, in one account, and never in each other's way."""

from typing import Any

from tests.e2e.conftest import JOB, POOL, STACK


def two_stacks(bench: Any) -> None:
    """Stacks `a` and `b` in folders of their own: each a pool, `a` also a job."""
    bench.write(stack=None, pool=None, job=None)
    for name in ("a", "b"):
        folder = bench.folder / name
        folder.mkdir()
        (folder / "stack.yaml").write_text(STACK.replace("name: s", f"name: {name}"), "utf-8")
        (folder / "pool.yaml").write_text(POOL.replace("name: p", f"name: p-{name}").replace("Nodes: 2", "Nodes: 1"))
    (bench.folder / "a" / "job.yaml").write_text(JOB.replace("poolId: p", "poolId: p-a"), "utf-8")


def test_each_stack_of_a_folder_is_validated_planned_applied_and_destroyed(bench: Any) -> None:
    two_stacks(bench)
    folder = str(bench.folder)
    assert [line.split(",")[0] for line in bench.run("validate", folder).lines] == [
        "Valid: stack 'a'",
        "Valid: stack 'b'",
    ]
    planned = bench.run("plan", folder, "--detailed-exitcode")
    assert planned.code == 2
    assert planned.lines[0].endswith(", stack 'a'")
    assert sum(line.startswith("Target: ") for line in planned.lines) == 2
    done = bench.apply()
    assert done.code == 0, done.out + done.err
    assert bench.run("plan", folder, "--detailed-exitcode").code == 0
    shown = bench.run("status", folder)
    assert "pool/p-a" in shown.out
    assert "pool/p-b" in shown.out
    assert bench.run("destroy", folder, "--auto-approve").code == 0
    assert "No stack owns anything here." in bench.run("status").out


def test_stacks_of_one_account_leave_each_other_alone(bench: Any) -> None:
    two_stacks(bench)
    assert bench.apply().code == 0
    (bench.folder / "b" / "pool.yaml").unlink()
    before = bench.last_request
    done = bench.run("apply", str(bench.folder / "b"), "--auto-approve", "--allow-deletes", "1")
    assert done.code == 0, done.out + done.err
    assert bench.writes(before) == ["DELETE /pools/p-b"]
    assert bench.run("plan", str(bench.folder / "a"), "--detailed-exitcode").code == 0


def test_what_is_meant_for_one_stack_is_refused_for_several_by_name(bench: Any) -> None:
    two_stacks(bench)
    folder = str(bench.folder)
    for flags in (("plan", folder, "--format", "json"), ("apply", folder, "--replace", "job/j")):
        refused = bench.run(*flags)
        assert refused.code == 64
        assert "one stack at a time, and these are several (a, b)" in refused.err
    assert bench.writes() == []


def test_a_stack_that_fails_leaves_the_other_to_its_work(bench: Any) -> None:
    two_stacks(bench)
    stack = bench.folder / "a" / "stack.yaml"
    stack.write_text(stack.read_text("utf-8") + "spec: {account: {endpoint: 'https://x.invalid', name: x}}\n", "utf-8")
    done = bench.run("apply", str(bench.folder), "--auto-approve")
    assert done.code == 1
    assert "error: stack 'a'" in done.err
    assert "pool/p-b: created" in done.out
