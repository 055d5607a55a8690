"""`reconciler init`: write a small working stack to start from: a stack, a pool, and a job with a preparation, tasks
and a release. Nothing is overwritten, and nothing is sent.

DIR is `manifests` unless another folder is named. The stack, its pool and its job get the name of DIR, or without DIR
that of the current folder.
"""

import argparse
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any, Final

from reconciler.cli.options import add_output

FILES: Final = {
    "stack.yaml": "which account, and what the objects have in common",
    "pool.yaml": "the machines",
    "job.yaml": "the work: preparation, tasks, release",
}
SCHEMAS: Final = ".schemas"
"""Beside the manifests, which name the files in it; the loader passes by names that begin with a dot."""
_NAME: Final = "@NAME@"
_LONGEST: Final = 64


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "init",
        help="write a small working stack to start from",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", nargs="?", help="folder for the manifests (manifests)")
    parser.add_argument("--name", metavar="NAME", help="name of the stack, its pool and its job")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything, then write."""
    from reconciler.cli.texts import check_folder
    from reconciler.schema import REFERENCE, documents

    folder = Path(arguments.directory or "manifests")
    check_folder("init", folder)
    _check_empty(folder)
    name = _name(arguments.name, folder if arguments.directory else Path())
    starter = resources.files("reconciler.cli") / "starter"
    texts = {file: (starter / file).read_text("utf-8").replace(_NAME, name) for file in FILES}
    schemas = {f"{SCHEMAS}/{file}": text for file, text in documents().items() if file != REFERENCE}
    (folder / SCHEMAS).mkdir(parents=True, exist_ok=True)
    for file, text in {**schemas, **texts}.items():
        (folder / file).write_text(text, "utf-8")
    _tell(folder, name)
    return 0


def _check_empty(folder: Path) -> None:
    """Refuse a folder that holds manifests, or what would be read as such: they would be one stack with these."""
    from reconciler.errors import ManifestErrors, UsageError
    from reconciler.manifest.files import read

    if not folder.exists():
        return
    source = read([str(folder)])
    if source.findings:
        raise ManifestErrors(source.findings)
    if source.files:
        first, *more = sorted(file.path for file in source.files)
        rest = f" and {len(more)} more" if more else ""
        raise UsageError(
            f"init: expected a folder without manifests, found {first}{rest}; nothing was written. Name a folder of "
            "its own: reconciler init DIR"
        )


def _name(given: str | None, folder: Path) -> str:
    """A Batch id: the one given, or one made of the folder's name."""
    from reconciler.errors import UsageError

    if given is not None:
        if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{_LONGEST}}}", given):
            raise UsageError(
                f"init --name: expected 1 to {_LONGEST} characters of A-Z, a-z, 0-9, '-' and '_', found {given!r}"
            )
        return given
    own = re.sub(r"[^A-Za-z0-9_]+", "-", folder.resolve().name)[:_LONGEST].strip("-")
    if not own:
        raise UsageError(
            f"init: the folder's name {folder.resolve().name!r} makes no name for a stack: give --name NAME"
        )
    return own


def _tell(folder: Path, name: str) -> None:
    import shlex

    print(f"Stack '{name}', in {folder}:")
    for file, what in FILES.items():
        print(f"  {file:<10}  {what}")
    print(f"  {SCHEMAS:<10}  what editors check and complete them with\n")
    endpoint = os.environ.get("AZURE_BATCH_ENDPOINT")
    where = f"to {endpoint}" if endpoint else "to the local emulator, which is started for it"
    path = shlex.quote(str(folder))
    steps = (
        (f"reconciler validate {path} --strict", "check them, offline"),
        (f"reconciler plan {path}", "what apply would do"),
        (f"reconciler apply {path}", where),
        (f"reconciler status job/{name}", "what ran on which node"),
        ("reconciler explain job.spec", "what can be written there"),
        (f"reconciler destroy {path}", "remove everything again"),
    )
    width = max(len(command) for command, _ in steps)
    print("Next:")
    for command, what in steps:
        print(f"  {command:<{width}}  {what}")
