"""Application packages from a folder of this machine: `<state>/applications/<id>/<version>/`, or `<version>.zip`.

On the real service packages are uploaded by the management plane; here they are put into that folder. Beside the
versions `application.json` may name `displayName` and `defaultVersion`. Read by `world` for requests, and by `nodes`,
which installs packages on a node.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.errors import refuse
from reconciler.emulator.records import Json, fold
from reconciler.emulator.staging import StagingError

FOLDER = "applications"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", re.ASCII)
_ABOUT = "application.json"
_PREFIX = "AZ_BATCH_APP_PACKAGE_"


@dataclass(frozen=True, slots=True)
class Application:
    """One application with the versions that can be installed, in order."""

    id: str
    versions: tuple[str, ...]
    display_name: str | None = None
    default: str | None = None

    def version(self, wanted: str | None) -> str | None:
        """The version a reference means, the default one if it names none; None if there is no such version."""
        name = self.default if wanted is None else wanted
        return next((one for one in self.versions if name is not None and fold(one) == fold(name)), None)


class Shelf:
    """The account's applications. Without a folder there are none."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def list_all(self) -> list[Application]:
        """Applications that have a version, in order of their ids."""
        if self._folder is None or not self._folder.is_dir():
            return []
        folders = [child for child in self._folder.iterdir() if child.is_dir() and _NAME.fullmatch(child.name)]
        found = [_read(folder) for folder in sorted(folders, key=lambda child: fold(child.name))]
        return [application for application in found if application.versions]

    def find(self, application_id: str) -> Application | None:
        """By id without regard to case; a fully qualified resource id, as pools name it, counts by its end (M)."""
        name = fold(application_id.rsplit("/", 1)[-1])
        return next((one for one in self.list_all() if fold(one.id) == name), None)

    def check(self, spec: Json, *, pool: bool = False) -> None:
        """409 naming each reference that cannot be met (R24c:pools_and_nodes).

        A reference without version to an application without default is refused on a pool; on a task it makes the task
        fail when it starts (M:BatchApplicationPackageReference.version).
        """
        missing = "The specified application package does not exist."
        bad = [(one["applicationId"], missing) for one in _references(spec) if not self._exists(one, pool=pool)]
        if bad:
            raise refuse("InvalidApplicationPackageReferences", *bad)

    def _exists(self, reference: Json, *, pool: bool) -> bool:
        application = self.find(reference["applicationId"])
        if application is None:
            return False
        return application.version(reference.get("version")) is not None or ("version" not in reference and not pool)

    def resolve(self, spec: Json, *, lower_case: bool) -> list[Json]:
        """What to install for a spec: id and version as the folder has them, and the variable for the directory.

        A reference that cannot be met any more has no version.
        """
        resolved = []
        for one in _references(spec):
            application = self.find(one["applicationId"])
            name = application.id if application else one["applicationId"].rsplit("/", 1)[-1]
            version = application.version(one.get("version")) if application else None
            shown = name if "version" not in one else f"{name}_{one['version']}"
            variable = _PREFIX + re.sub(r"[.\-#]", "_", fold(shown) if lower_case else shown)
            resolved.append({"id": name, "version": version, "variable": variable})
        return resolved


def _references(spec: Json) -> list[Json]:
    references: list[Json] = spec.get("applicationPackageReferences", [])
    return references


def _read(folder: Path) -> Application:
    versions = {child.name for child in folder.iterdir() if child.is_dir()}
    versions |= {child.name.removesuffix(".zip") for child in folder.glob("*.zip") if child.is_file()}
    named = tuple(sorted((one for one in versions if _VERSION.fullmatch(one)), key=fold))
    about: object = {}
    with suppress(OSError, ValueError):
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    texts = {key: value for key, value in about.items() if isinstance(value, str)} if isinstance(about, dict) else {}
    return Application(folder.name, named, texts.get("displayName"), texts.get("defaultVersion"))


# --- on a node


def install(shelf: Path, root: Path, package: Json) -> Path:
    """The directory below the node's *root* that holds the package, unpacked unless it is there and up to date."""
    if package["version"] is None:
        raise StagingError("ApplicationPackageError", f"{package['id']}: there is no such version, or no default one")
    source = shelf / package["id"] / package["version"]
    if not source.is_dir():
        source = source.with_name(f"{package['version']}.zip")
    try:
        target = root / FOLDER / f"{package['id']}-{package['version']}-{_stamp(source)}"
        if not target.is_dir():
            _unpack(source, target)
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise StagingError("ApplicationPackageError", f"{package['id']} {package['version']}: {error}") from error
    return target


def _stamp(source: Path) -> str:
    """Changes when the package is replaced, so that the new one is installed beside the old one."""
    paths = (
        [source] if source.is_file() else [Path(folder, name) for folder, _, files in os.walk(source) for name in files]
    )
    parts = sorted((str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in paths)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _unpack(source: Path, target: Path) -> None:
    """Under another name first, so that a half installed package is never taken for a whole one."""
    part = target.with_name(f".{uuid.uuid4().hex}")
    if source.is_dir():
        shutil.copytree(source, part, symlinks=True)
    else:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                extracted = Path(archive.extract(entry, part))
                mode = entry.external_attr >> 16 & 0o777
                if mode and not entry.is_dir():
                    extracted.chmod(mode | 0o600)
        part.mkdir(exist_ok=True)
    try:
        part.rename(target)
    except OSError:  # another task was faster
        shutil.rmtree(part, ignore_errors=True)
        if not target.is_dir():
            raise
