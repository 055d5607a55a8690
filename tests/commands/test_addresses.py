"""Addresses of what is not there: what is, and what was probably meant."""

from typing import Any

import pytest

from tests.commands.conftest import JOB, POOL


@pytest.fixture
def filled(desk: Any) -> Any:
    """Pool `render`, job `nightly` with task t1 that ran."""
    desk.write(
        pool=POOL.replace("{name: p}", "{name: render}"),
        job=JOB.replace("{name: j}", "{name: nightly}").replace("poolId: p", "poolId: render"),
    )
    desk.apply()
    desk.simulation.run_until_idle()
    return desk


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("status", "job/nigthly"), 1, "there is no job/nigthly (did you mean 'job/nightly'?)"),
        (("status", "job/zzz"), 1, "there is no job/zzz: the account has job/nightly"),
        (("status", "pool/rendre"), 1, "there is no pool/rendre (did you mean 'pool/render'?)"),
        (("status", "jobschedule/x"), 1, "there is no jobschedule/x: the account has no jobschedules"),
        (("status", "jobs/nightly"), 64, "found 'jobs/nightly': no file, and 'jobs' is no kind (did you mean 'job/"),
        (("status", "foo/bar"), 64, "expected manifests, or an address (pool/NAME, job/NAME, jobschedule/NAME), found"),
        (("status", "Pool/render"), 64, "is no kind (did you mean 'pool/render'?)"),
        (("status", "job/a b"), 1, "there is no job/a b"),
        (("logs", "job/nigthly"), 1, "there is no job/nigthly (did you mean 'job/nightly'?)"),
        (("logs", "jobs/nightly"), 64, "found 'jobs/nightly' (did you mean 'job/nightly'?)"),
        (("logs", "pool/render"), 64, "found 'pool/render' (files of its nodes: 'node/render/*:PATH')"),
        (("logs", "foo/bar"), 64, "expected job/NAME or node/POOL/NODE:PATH, found 'foo/bar'"),
        (("logs", "node/rendr/*:x"), 1, "there is no pool/rendr (did you mean 'pool/render'?)"),
        (("logs", "node/render/nope:x"), 1, "pool/render has no node nope: it has tvmps_"),
        (("logs", "job/nightly", "--task", "t11"), 1, "job/nightly has no task t11 that ran (did you mean 't1'?)"),
        (("import", "job/nigthly"), 1, "there is no job/nigthly (did you mean 'job/nightly'?)"),
        (("import", "jobs/nightly"), 64, "found 'jobs/nightly' (did you mean 'job/nightly'?)"),
        (("adopt", "job/nigthly", "--manifests", "manifests"), 64, "no manifest declares job/nigthly"),
        (("orphan", "job/nigthly", "--auto-approve"), 1, "there is no job/nigthly (did you mean 'job/nightly'?)"),
    ],
)
def test_what_is_not_there(filled: Any, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = filled.run(*arguments)
    assert done.code == code, done.out + done.err
    assert said in done.err + done.out


def test_only_some_of_very_many_are_named(desk: Any) -> None:
    for number in range(9):
        desk.simulation.request("POST", "/jobs", {"id": f"j{number}", "poolInfo": {"poolId": "x"}})
    said = desk.run("status", "job/nothing-like-it").err
    assert "the account has job/j0, job/j1, job/j2, job/j3, job/j4 and 4 more" in said


def test_an_address_is_one_beside_a_folder_of_its_kind(filled: Any) -> None:
    (filled.folder.parent / "job").mkdir()
    assert filled.run("status", "job/nightly").out.splitlines()[2].startswith("job/nightly: active")
