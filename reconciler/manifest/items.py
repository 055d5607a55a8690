"""What the parameters of task groups run over: values, ranges, files, rows of CSV files.

Reads the plain values leniently: where the shape of a parameter is wrong the model says so, and there is nothing to
run over.
"""

import csv
import glob
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from reconciler.manifest.files import LARGEST, shown
from reconciler.manifest.scalar import plain
from reconciler.manifest.words import quoted
from reconciler.model.document import Parameter, Range
from reconciler.model.groups import Values

MOST_FILES: Final = 1_000_000

_NOT_IN_ID: Final = re.compile(r"[^A-Za-z0-9_-]")
_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class SourceError(Exception):
    """What a parameter names is not there, or not as expected. Its text says what was expected and found."""


def values_of(raw: object, folder: Path | None) -> Values | None:
    """What a parameter runs over; None where its shape is wrong. Raises SourceError."""
    try:
        parameter = Parameter.model_validate(raw)
    except ValidationError:
        return None
    if parameter.values is not None:
        return ListedValues(parameter.values)
    if parameter.range is not None:
        return RangeValues(parameter.range)
    if parameter.files is not None:
        return FileValues(_files(parameter.files, _known(folder)))
    assert parameter.csv is not None
    return _table(parameter.csv, _known(folder))


def id_text(text: str) -> str:
    """*text* with each character that an id cannot hold replaced."""
    return _NOT_IN_ID.sub("-", text)


@dataclass(frozen=True)
class ListedValues:
    """Values that stand in the manifest."""

    values: Sequence[Any]

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(("", "id"))

    def __len__(self) -> int:
        return len(self.values)

    def text(self, position: int, field: str) -> str:
        value = self.values[position]
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return id_text(text) if field == "id" else text

    def value(self, position: int, field: str) -> Any:
        return self.text(position, field) if field else self.values[position]

    def facts(self) -> Any:
        return list(self.values)


@dataclass(frozen=True)
class RangeValues:
    """Whole numbers; only their bounds are kept."""

    bounds: Range

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(("", "id"))

    def __len__(self) -> int:
        return (self.bounds.last - self.bounds.first) // self.bounds.step + 1

    def text(self, position: int, field: str) -> str:
        return f"{self._number(position):0{self.bounds.width}d}"

    def value(self, position: int, field: str) -> Any:
        return self.text(position, field) if field or self.bounds.width > 1 else self._number(position)

    def facts(self) -> Any:
        return self.bounds.model_dump()

    def _number(self, position: int) -> int:
        return self.bounds.first + position * self.bounds.step


@dataclass(frozen=True)
class FileValues:
    """Files by their path from the folder of the manifest."""

    paths: Sequence[str]

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(("", "id", "name", "stem"))

    def __len__(self) -> int:
        return len(self.paths)

    def text(self, position: int, field: str) -> str:
        path = self.paths[position]
        match field:
            case "name":
                return path.rpartition("/")[2]
            case "stem":
                return Path(path).stem
            case "id":
                return id_text(path)
        return path

    def value(self, position: int, field: str) -> Any:
        return self.text(position, field)

    def facts(self) -> Any:
        return list(self.paths)


@dataclass(frozen=True)
class TableValues:
    """Rows of a CSV file."""

    columns: Mapping[str, int]
    rows: Sequence[tuple[str, ...]]

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(self.columns) | {f"{column}.id" for column in self.columns}

    def __len__(self) -> int:
        return len(self.rows)

    def text(self, position: int, field: str) -> str:
        column, _, part = field.partition(".")
        text = self.rows[position][self.columns[column]]
        return id_text(text) if part else text

    def value(self, position: int, field: str) -> Any:
        text = self.text(position, field)
        return text if "." in field else plain(text)

    def facts(self) -> Any:
        return [list(self.columns), self.rows]


def _known(folder: Path | None) -> Path:
    if folder is None:
        raise SourceError("expected a manifest in a file: standard input has no folder to look for files in")
    return folder


def _below(pattern: str) -> None:
    if os.path.isabs(pattern) or ".." in pattern.split("/"):  # noqa: PTH117 - a pattern is no path
        raise SourceError(f"expected a path below the folder of the manifest, without '..', found {quoted(pattern)}")


def _files(pattern: str, folder: Path) -> list[str]:
    _below(pattern)
    root = os.path.realpath(folder)
    found = []
    for name in glob.iglob(pattern, root_dir=folder, recursive=True):  # noqa: PTH207 - hidden files stay out
        path = folder / name
        if not path.is_file():
            continue
        _inside(path, root)
        found.append(name.replace(os.sep, "/"))
        if len(found) > MOST_FILES:
            raise SourceError(f"expected at most {MOST_FILES:,} files, found more")
    if not found:
        raise SourceError(f"expected at least one file that matches {quoted(pattern)}, found none")
    unprintable = next((name for name in found if not name.isprintable()), None)
    if unprintable is not None:
        raise SourceError(f"expected file names that can be printed, found {quoted(shown(unprintable))}")
    return sorted(found)


def _inside(path: Path, root: str) -> None:
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise SourceError(f"expected files below the folder of the manifest, found a link out of it: {shown(path)}")


def _table(name: str, folder: Path) -> TableValues:
    _below(name)
    path = folder / name
    _inside(path, os.path.realpath(folder))
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError(f"expected a CSV file in UTF-8, found other bytes in {quoted(name)}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"expected a readable CSV file, found: {quoted(name)}: {why}") from None
    if len(raw) > LARGEST:
        raise SourceError(f"expected a CSV file of at most {LARGEST >> 20} MiB, found more")
    return _rows(name, text)


def _rows(name: str, text: str) -> TableValues:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: dict[str, int] = {}
    rows = []
    try:
        for row in reader:
            if not row:
                continue
            if not columns:
                columns = _columns(name, row)
            elif len(row) != len(columns):
                place = f"line {reader.line_num} of {quoted(name)}"
                raise SourceError(f"expected {len(columns)} cells in each row, found {len(row)} on {place}")
            else:
                rows.append(tuple(row))
    except csv.Error as error:
        raise SourceError(f"expected CSV, found on line {reader.line_num} of {quoted(name)}: {error}") from None
    if not rows:
        raise SourceError(f"expected rows below the names of the columns, found none in {quoted(name)}")
    return TableValues(columns, rows)


def _columns(name: str, row: Sequence[str]) -> dict[str, int]:
    columns = {column: index for index, column in enumerate(row)}
    wrong = next((column for column in row if not _COLUMN.fullmatch(column)), None)
    if wrong is not None:
        rule = "letters, digits, '_' and '-', a letter or '_' first"
        raise SourceError(
            f"expected names of columns ({rule}) in the first row of {quoted(name)}, found {quoted(wrong)}"
        )
    if len(columns) < len(row):
        twice = next(column for index, column in enumerate(row) if columns[column] != index)
        raise SourceError(f"expected each column of {quoted(name)} once, found {quoted(twice)} again")
    return columns
