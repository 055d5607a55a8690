"""axe-core, which finds mistakes that keep people out. It comes with npm, once, into a folder of the user's cache."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "4.10.3"


def script() -> str:
    """The source of axe; it is installed if it is not there yet."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = base / "reconciler-tests" / f"axe-core-{VERSION}"
    file = target / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        _install(target)
    return file.read_text("utf-8")


def _install(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm: install Node.js with npm, for example with apt-get install nodejs npm")
    part = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    command = [npm, "install", "--prefix", str(part), "--no-audit", "--no-fund", f"axe-core@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"needs axe-core: npm install --prefix '{target}' axe-core@{VERSION}")
    try:
        part.rename(target)
    except OSError:  # somebody else was faster
        shutil.rmtree(part, ignore_errors=True)
