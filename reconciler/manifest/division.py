"""Several Stacks under one folder: each owns the manifests in its folder and below, down to the folders of others."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath

from reconciler.errors import Finding
from reconciler.manifest.files import File, Source
from reconciler.manifest.text import Document, Parsed


def folders(source: Source, parsed: Mapping[str, Parsed]) -> frozenset[FilePath]:
    """The folders in which a Stack stands. Standard input has none."""
    holders = (file for file in source.files if any(it.kind == "Stack" for it in parsed[file.path].documents))
    return frozenset(folder for file in holders if (folder := _folder(file)) is not None)


def divided(source: Source, owners: frozenset[FilePath]) -> tuple[list[Source], list[Finding]]:
    """The files of *source* by the nearest of *owners* above them, and findings for those that have none."""
    parts = {owner: Source(folder=str(owner)) for owner in sorted(owners)}
    findings = list(source.findings)
    for file in source.files:
        folder = _folder(file)
        owner = next((it for it in (folder, *folder.parents) if it in owners), None) if folder is not None else None
        if owner is None:
            message = "expected a Stack in the same folder or above, as the other manifests have, found none"
            findings.append(Finding(file.path, 0, 0, "", message))
        else:
            parts[owner].files.append(file)
    return list(parts.values()), findings


def same_names(stacks: Sequence[Document]) -> list[Finding]:
    """Stacks whose name another has: each would take the objects of the other for its own."""
    findings = []
    first: dict[str, Document] = {}
    for stack in stacks:
        path = ("metadata", "name")
        name = stack.at(path)
        if isinstance(name, str) and (other := first.setdefault(name.lower(), stack)) is not stack:
            line, _ = other.position(path)
            place = f"{other.file.path}:{line}"
            message = f"expected a name that no other Stack has, found {stack.found(path, name)}, the name at {place}"
            findings.append(stack.finding(path, message))
    return findings


def everywhere(findings: Sequence[Sequence[Finding]]) -> list[Finding]:
    """The findings about a variable that each Stack has: a value may go to one that declares it."""
    first, *others = findings
    return [finding for finding in first if all(any(it.path == finding.path for it in other) for other in others)]


def _folder(file: File) -> FilePath | None:
    return FilePath(os.path.realpath(file.folder)) if file.folder is not None else None
