"""Manifests as a person has them: files in the folder one stands in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import load
from reconciler.model.desired import Desired

Findings = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    here = tmp_path / "stack"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def loaded(folder: Path) -> Callable[..., Desired]:
    """Load one text, as the file `m.yaml`."""

    def run(text: str | bytes, **values: dict[str, str]) -> Desired:
        (folder / "m.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(["m.yaml"], variables=values.get("variables", {}), environment=values.get("environment", {}))

    return run


@pytest.fixture
def findings(loaded: Callable[..., Desired]) -> Findings:
    """The findings in one text, without the `m.yaml:` before each."""

    def run(text: str | bytes, **values: dict[str, str]) -> list[str]:
        try:
            loaded(text, **values)
        except ManifestErrors as errors:
            return [str(finding).removeprefix("m.yaml:").strip() for finding in errors.findings]
        return []

    return run
