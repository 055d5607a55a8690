"""`reconciler validate`: are the manifests right? Offline."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_paths

if TYPE_CHECKING:
    from reconciler.cli.linting import Warned
    from reconciler.errors import Finding, ManifestErrors
    from reconciler.model.desired import Desired


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("validate", help="check manifests, offline", description=__doc__)
    add_paths(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--strict", action="store_true", help="take every warning for an error")
    parser.add_argument(
        "--quotas", metavar="FILE", help="also check that the account can hold it: output of 'az batch account show'"
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load everything; say what was found."""
    from reconciler.cli.linting import check_stack, read_quotas
    from reconciler.cli.stack import load_manifests, the_only
    from reconciler.errors import ManifestErrors

    limits = read_quotas(arguments.quotas) if arguments.quotas else None
    try:
        stacks = load_manifests(arguments)
        if arguments.format == "json":
            the_only(stacks, "--format json")
        found = [(one, check_stack(one, limits=limits, strict=arguments.strict)) for one in stacks]
    except ManifestErrors as errors:
        if arguments.format == "text":
            raise
        print(_json(errors))
        return 64
    for desired, warnings in found:
        _tell(arguments, desired, warnings)
    return 0


def _tell(arguments: argparse.Namespace, desired: "Desired", warnings: "tuple[Warned, ...]") -> None:
    kinds = [str(key.kind) for key in desired.objects]
    tasks = sum(len(wanted.tasks) for wanted in desired.objects.values())
    if arguments.format == "json":
        findings = [{**_finding(one.finding, "warning"), "address": one.address} for one in warnings]
        answer = {"valid": True, "findings": findings, "stack": desired.stack.name, "objects": len(kinds)}
        print(json.dumps(answer, indent=2))
        return
    for one in warnings:
        print(f"warning: {one.finding}", file=sys.stderr)
    counts = [(kinds.count(name), name) for name in dict.fromkeys(["pool", "job", *kinds])]
    counts += [(tasks, "task"), *([(len(warnings), "warning")] if warnings else [])]
    parts = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)
    print(f"Valid: stack '{desired.stack.name}', {parts}.")


def _json(errors: "ManifestErrors") -> str:
    findings = [_finding(one, "error") for one in errors.findings]
    return json.dumps({"valid": False, "findings": findings}, indent=2)


def _finding(one: "Finding", severity: str) -> dict[str, object]:
    return {
        "severity": severity,
        "path": one.path,
        "line": one.line,
        "column": one.column,
        "field": one.field,
        "message": one.message,
    }
