"""Rules for the whole suite.

A test that needs something which is not installed everywhere skips with a reason that begins with "needs" and ends
with the command that enables it. Under RECONCILER_REQUIRE_ALL=1 (continuous integration) such a skip is a failure.
"""

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from azurite import Azurite
from hypothesis import settings

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Turn a skip for want of something into a failure where everything has to be there."""
    report = yield
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if reason.startswith("Skipped: needs") and os.environ.get("RECONCILER_REQUIRE_ALL"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason.removeprefix('Skipped: ')} (RECONCILER_REQUIRE_ALL is set)"
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Every skip by name, with what enables it."""
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"SKIPPED {report.nodeid}: {str(reason).removeprefix('Skipped: ')}")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A storage account of this test process."""
    running = Azurite(tmp_path_factory.mktemp("azurite"))
    yield running
    running.stop()
