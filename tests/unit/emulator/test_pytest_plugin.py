"""The fixtures for other projects: found by pytest, cheap to have, and as the README shows them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

README = Path(__file__).parents[3] / "README.md"
MODULE = "reconciler.emulator.pytest_plugin"


@pytest.fixture
def run(tmp_path):
    """The result of pytest on a project of one file, which has nothing of this repository but what is installed."""
    if MODULE not in {point.value for point in entry_points(group="pytest11")}:
        pytest.skip("needs an installation that is up to date: pip install -e '.[test]'")

    def do(text: str, *arguments: str) -> str:
        (tmp_path / "test_mine.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "temp")]
        done = subprocess.run(
            [*command, *arguments, "test_mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    return do


def test_the_example_of_the_readme_passes(run):
    text = README.read_text().split("<!-- example test -->\n```python\n")[1].split("```")[0]
    shown = run(text)
    assert "2 passed" in shown, shown


def test_a_run_that_asks_for_no_fixture_does_not_load_the_emulator(run):
    shown = run(
        "import sys\n\ndef test_nothing():\n"
        "    loaded = {name for name in sys.modules if name.startswith('reconciler.')}\n"
        f"    assert loaded == {{'reconciler.emulator', {MODULE!r}}}\n"
        "    assert not {'aiohttp', 'azure.batch', 'sqlite3'} & set(sys.modules)\n"
    )
    assert "1 passed" in shown, shown


def test_the_fixtures_explain_themselves(run):
    shown = run("def test_nothing():\n    pass\n", "--fixtures", "-v")
    assert "batch_emulator" in shown
    assert "A simulated Batch account" in shown
