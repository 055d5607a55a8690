"""What a command line, or an environment, can have wrong: each in a message that says what was expected."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import JOB, POOL


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (
            ("plan", "manifests", "--allow-release-loss", "pool/p"),
            64,
            "expected an address such as job/NAME, found 'pool/p'",
        ),
        (
            ("plan", "manifests", "--replace", "job/gone"),
            64,
            "--replace job/gone: no manifest declares it, so nothing would be created in its place",
        ),
        (
            ("plan", "manifests", "--dangerous-force", "pool/p"),
            64,
            "--dangerous-force pool/p: only the end of a job or a job schedule can be forced",
        ),
        (
            ("plan", "manifests", "--live", "x.json", "--endpoint", "https://x"),
            64,
            "--endpoint has no meaning beside --live: the snapshot says which account it is of",
        ),
        (("plan", "manifests", "--var", "x"), 64, "--var expects NAME=VALUE, found 'x'"),
        (("plan", "manifests", "--var-file", "two.yml"), 64, "two.yml: expected one document, found 2"),
        (("status", "job/j", "manifests"), 64, "expected one address such as job/NAME, or manifests"),
        (("logs", "jib/j"), 64, "expected job/NAME or node/POOL/NODE:PATH, found 'jib/j'"),
        (("logs", "node/p/*:x", "--task", "t"), 64, "--task, --node and --file go with job/NAME"),
        (("logs", "job/j", "--task", "release"), 1, "job/j: release ran on no node"),
        (("logs", "job/j", "--task", "t11"), 1, "job/j has no task t11 that ran (did you mean 't1'?)"),
        (
            ("validate", "manifests", "--quotas", "{}.json"),
            64,
            "expected the JSON that 'az batch account show' prints, found none of dedicatedCoreQuota, ",
        ),
        (
            ("validate", "manifests", "--quotas", "bad.json"),
            64,
            "expected the JSON that 'az batch account show' prints, found poolQuota: '3'",
        ),
        (("import",), 64, "expected one of: addresses such as pool/NAME, --all, --from FILE"),
        (("import", "--from", "arm.json"), 64, "expected properties.deploymentConfiguration as ARM has it, found list"),
        (
            ("apply", "manifests", "--format", "json"),
            64,
            "--format json asks no question: say --auto-approve",
        ),
        (("apply", "manifests", "--max-duration", "4"), 64, "expected a time such as 90s, 4m or 1h, found '4'"),
        (("apply", "manifests", "--allow-deletes", "-1"), 64, "expected a whole number, found '-1'"),
        (("verify", "manifests", "--seeds", "x"), 64, "expected a whole number, found 'x'"),
    ],
)
def test_a_command_line_that_does_not_fit(desk: Any, line: tuple[str, ...], code: int, said: str) -> None:
    desk.write(pool=POOL, job=JOB, gone=JOB.replace("{name: j}", "{name: gone}"))
    desk.apply()
    desk.simulation.run_until_idle()
    desk.write(gone=None)
    Path("two.yml").write_text("a: b\n---\nc: d\n", "utf-8")
    Path("{}.json").write_text("{}", "utf-8")
    Path("bad.json").write_text('{"poolQuota": "3"}', "utf-8")
    arm = {
        "type": "Microsoft.Batch/batchAccounts/pools",
        "name": "a/p",
        "properties": {"vmSize": "x", "deploymentConfiguration": []},
    }
    Path("arm.json").write_text(json.dumps(arm), "utf-8")
    refused = desk.run(*line)
    assert refused.code == code
    assert said in refused.err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "AZURE_BATCH_ENDPOINT",
            "https://other.west.batch.azure.com",
            " and AZURE_BATCH_ENDPOINT names https://other.west.batch.azure.com: say which with --endpoint",
        ),
        (
            "AZURE_BATCH_ACCESS_KEY",
            "not base64",
            "the account key is not valid base64; copy it again from the account's keys",
        ),
        ("AZURE_BATCH_ACCESS_KEY", "", "a token is sent over https only; give a key in AZURE_BATCH_ACCESS_KEY"),
        ("AZURE_BATCH_ACCOUNT", "", "a shared key needs the account's name: --account or AZURE_BATCH_ACCOUNT"),
    ],
)
def test_an_environment_that_does_not_fit(
    desk: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    account = f"spec: {{account: {{endpoint: '{desk.simulation.endpoint}'}}}}\n"
    desk.write(stack=(desk.folder / "stack.yaml").read_text("utf-8") + account)
    monkeypatch.setenv(name, value)
    refused = desk.run("plan", "manifests")
    assert refused.code == 1
    assert said in refused.err


def test_what_is_no_endpoint(desk: Any) -> None:
    refused = desk.run("status", "--endpoint", "ftp://x")
    assert "expected an endpoint such as https://NAME.REGION.batch.azure.com, found 'ftp://x'" in refused.err
    refused = desk.run("status", "--endpoint", "https://me:secret@x")
    assert "expected an endpoint without user, password and query; keys go into" in refused.err
    assert "secret" not in refused.err


def test_an_account_without_an_endpoint(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_BATCH_ENDPOINT")
    refused = desk.run("status", "--account", "x")
    assert "--account is given without an endpoint: --endpoint or AZURE_BATCH_ENDPOINT" in refused.err
    refused = desk.run("status")
    assert "AZURE_BATCH_ACCOUNT is given without an endpoint: --endpoint or AZURE_BATCH_ENDPOINT" in refused.err


def test_a_schedule_waits_for_a_job_of_its_own_that_a_person_has_to_decide_on(desk: Any) -> None:
    schedule = (
        "apiVersion: reconciler/v1\nkind: JobSchedule\nmetadata: {name: n}\nspec:\n"
        "  schedule: {recurrenceInterval: PT1H}\n  jobSpecification:\n    poolInfo: {poolId: p}\n"
        "    jobManagerTask: {id: m, commandLine: /bin/true}\n"
        "    jobPreparationTask: {commandLine: /bin/true}\n    jobReleaseTask: {commandLine: /bin/release}\n"
    )
    desk.simulation.script(command="/bin/release", exit_code=1)
    desk.write(pool=POOL, schedule=schedule)
    desk.apply()
    desk.simulation.advance(minutes=10)
    desk.write(schedule=None)
    done = desk.run("apply", "manifests", "--auto-approve", "--detailed-exitcode")
    assert done.code == 4
    assert "blocked: job/n:job-1 stays and has to go first (allow it with --allow-release-failure job/n:job-1)" in (
        desk.run("plan", "manifests").out
    )
    assert [one["id"] for one in desk.simulation.get("/jobschedules")["value"]] == ["n"]


def test_what_cannot_be_written_down_is_not_done(desk: Any) -> None:
    desk.write(pool=POOL, job=JOB.replace("{poolId: p}", "{poolId: p}, jobPreparationTask: {commandLine: /bin/true}"))
    desk.apply()
    desk.simulation.run_until_idle()
    (stack,) = Path("state/reconciler/stacks").glob("*/s")
    (stack / "receipts").symlink_to("nowhere")  # reads as nothing, and takes nothing
    desk.write(job=None)
    done = desk.run("apply", "manifests", "--auto-approve", "--no-wait")
    assert done.code == 1
    assert "write down what becomes of job/j: " in done.out
    assert [job["state"] for job in desk.simulation.get("/jobs")["value"]] == ["completed"]
