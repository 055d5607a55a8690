"""Manifests as YAML text: block style, the order given, long and many-lined texts as they are read best."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from reconciler.importing import Imported, Tasks
from reconciler.importing.secrets import Composed, escaped


class _Writer(yaml.SafeDumper):
    """PyYAML's writer, with lists indented under their key and many-lined text as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists too, as most manifests are written."""
        super().increase_indent(flow, False)


def _text(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not text.isspace() else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _text)


def document(made: Imported) -> str:
    """One manifest, with its notes above it."""
    notes = "".join(f"# {note}\n" for note in made.notes)
    return notes + _dump(made.document)


def documents(made: Iterable[Imported]) -> str:
    """Several manifests in one file."""
    return "---\n".join(document(one) for one in made)


def section(tasks: Tasks) -> str:
    """Tasks as they stand in the manifest of their job."""
    whose = f"of job/{tasks.job}" if tasks.job else "of their job"
    notes = "".join(f"# {note}\n" for note in (f"for the manifest {whose}", *tasks.notes))
    return notes + _dump({"tasks": list(tasks.items)})


def _dump(value: Mapping[str, Any]) -> str:
    return yaml.dump(
        _escaped(value), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )


def _escaped(value: Any) -> Any:
    """Text that would be taken for a variable (`${var.x}`) written so that it is not."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, Composed):
        return str(value)
    return escaped(value) if isinstance(value, str) else value
