"""`reconciler validate`: are the manifests right? Offline."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_paths

if TYPE_CHECKING:
    from reconciler.errors import ManifestErrors


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("validate", help="check manifests, offline", description=__doc__)
    add_paths(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load everything; say what was found."""
    from reconciler.cli.stack import load_manifests
    from reconciler.errors import ManifestErrors

    try:
        desired = load_manifests(arguments)
    except ManifestErrors as errors:
        if arguments.format == "text":
            raise
        print(_json(errors))
        return 64
    kinds = [key.kind for key in desired.objects]
    tasks = sum(len(wanted.tasks) for wanted in desired.objects.values())
    if arguments.format == "json":
        print(json.dumps({"valid": True, "findings": [], "stack": desired.stack.name, "objects": len(kinds)}, indent=2))
    else:
        counts = [(len([kind for kind in kinds if kind == name]), name) for name in ("pool", "job")]
        parts = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in [*counts, (tasks, "task")])
        print(f"Valid: stack '{desired.stack.name}', {parts}.")
    return 0


def _json(errors: "ManifestErrors") -> str:
    findings = [
        {"path": f.path, "line": f.line, "column": f.column, "field": f.field, "message": f.message}
        for f in errors.findings
    ]
    return json.dumps({"valid": False, "findings": findings}, indent=2)
