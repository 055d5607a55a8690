"""`reconciler verify` as a user runs it, with fewer readings than it has."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.azure import Account
from reconciler.cli.main import main
from reconciler.errors import Rejected
from reconciler.lifecycle.steps import Action
from reconciler.model.desired import Desired, Key
from reconciler.observed import Observed
from reconciler.verify import exploration

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def few_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploration, "READINGS", exploration.READINGS[:2])


def test_manifests_whose_road_holds_are_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(HERE / "small/before"), "--seeds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["apply: 9 runs", "replace: 11 runs"]
    said = re.fullmatch(
        r"No second release reachable; (\d+) releases, (\d+) states, 2 readings of how a job ends.", lines[-1]
    )
    assert said is not None
    assert int(said[1]) > 40


def test_it_is_said_that_there_was_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (HERE / "small/before/all.yaml").read_text("utf-8")
    (tmp_path / "all.yaml").write_text(text.replace("  jobReleaseTask: {commandLine: release}\n", ""))
    assert main(["verify", str(tmp_path), "--seeds", "0"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("No second release reachable; no release task ran in any of them, ")


def test_a_schedule_is_made_anew_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed one is not: its change is for its next run."""
    text = (HERE / "large/before/all.yaml").read_text("utf-8")
    documents = [text for text in text.split("---\n") if "kind: Job\n" not in text]
    (tmp_path / "all.yaml").write_text("---\n".join(documents))
    assert main(["verify", str(tmp_path), "--seeds", "0"]) == 0
    road = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("replace: "))
    assert int(road.split()[1]) > 7


def test_an_interrupted_run_says_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine(desired: Desired, seeds: Sequence[int]) -> Iterator[exploration.Finding]:
        yield next(exploration_examine(desired, seeds))
        raise KeyboardInterrupt

    exploration_examine = exploration.examine
    monkeypatch.setattr(exploration, "examine", examine)
    assert main(["verify", str(HERE / "small/before")]) == 1
    shown = capsys.readouterr()
    assert shown.out == "1 run was made, and no promise was broken; that is not all of them.\n"
    assert shown.err.endswith("Interrupted.\n")


def test_a_counter_example_is_a_story(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    observe = Account.observe

    async def hasty(account: Account) -> Observed:
        """Takes a terminating job for a completed one."""
        seen = await observe(account)
        jobs = dict(seen.jobs)
        jobs |= {key: replace(job, state="completed") for key, job in jobs.items() if job.state == "terminating"}
        return replace(seen, jobs=jobs).with_children()

    monkeypatch.setattr(Account, "observe", hasty)
    assert main(["verify", str(HERE / "small/before"), "--seeds", "0"]) == 1
    out = capsys.readouterr().out
    assert "replace, as the emulator suggests: nobody dies" in out
    assert "victim      POST /jobs/main/terminate -> 202" in out
    assert out.splitlines()[-1] == "BROKEN: victim deleted job/main while it was terminating"


def test_one_seed_is_told_again_with_its_story(capsys: pytest.CaptureFixture[str]) -> None:
    stories = []
    for _ in range(2):
        assert main(["verify", str(HERE / "small/before"), "--seed", "3"]) == 0
        stories.append(capsys.readouterr().out)
    assert stories[0] == stories[1]
    assert stories[0].startswith("several processes, delete_while_terminating=cut: seed 3\n")


def test_what_the_simulated_account_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(account: Account, key: Key, name: str, action: Action) -> None:
        raise Rejected(f"{action.verb} {key}", "not available here")

    monkeypatch.setattr(Account, "send", refuse)
    assert main(["verify", str(HERE / "small/before"), "--seeds", "0"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the simulated account does not go through apply: create pool/cpu")
    assert "not available here" in said


def test_what_needs_a_person_after_a_crash_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manager that ends its job may do so before the declared tasks are in."""
    text = (HERE / "small/before/all.yaml").read_text("utf-8")
    job = "  poolInfo: {poolId: cpu}\n"
    (tmp_path / "all.yaml").write_text(text.replace(job, f"{job}  jobManagerTask: {{id: m, commandLine: manage}}\n"))
    assert main(["verify", str(tmp_path), "--seeds", "0"]) == 0
    out = capsys.readouterr().out
    assert "job/main is blocked: it is completed, and 2 of its declared tasks were never added" in out
