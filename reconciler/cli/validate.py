"""`reconciler validate`: are the manifests right? Offline.

Every mistake of every file is said in one run: file, line, column, field, what was expected. Exit 64 with errors. A
warning may be meant so; --strict makes an error of it. A hint is no fault: a job on a pool that no manifest here
declares is one, since the pool may be somebody else's, as a Kubernetes object may name a Secret of others. For a stack
that brings its own pools, `spec.undeclaredPools: Refuse` in the Stack makes it an error, in plan and apply, too.
"""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.options import add_output, add_paths

if TYPE_CHECKING:
    from reconciler.api.loading import Warned
    from reconciler.errors import Finding, ManifestErrors
    from reconciler.model.desired import Desired


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "validate",
        help="check manifests, offline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--strict", action="store_true", help="take every warning for an error; hints stay hints")
    parser.add_argument(
        "--quotas", metavar="FILE", help="also check that the account can hold it: output of 'az batch account show'"
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load everything; say what was found."""
    from reconciler.api.loading import check_stacks
    from reconciler.cli.linting import read_quotas
    from reconciler.cli.stack import the_only, variables_of
    from reconciler.errors import ManifestErrors
    from reconciler.manifest import load_some

    limits = read_quotas(arguments.quotas) if arguments.quotas else None
    try:
        stacks, findings = load_some(arguments.paths, variables=variables_of(arguments), environment=os.environ)
        if arguments.format == "json":
            the_only(stacks, "--format json")
        found = check_stacks(stacks, findings, limits=limits, strict=arguments.strict)
    except ManifestErrors as errors:
        if arguments.format == "text":
            raise
        print(_json(errors))
        return 64
    for desired, remarks in zip(stacks, found, strict=True):
        _tell(arguments, desired, remarks)
    return _tell_emptiness(arguments) if all(_is_empty(desired) for desired in stacks) else 0


def _is_empty(desired: "Desired") -> bool:
    return not desired.objects and desired.stack.source is None


def _tell_emptiness(arguments: argparse.Namespace) -> int:
    """A source without any manifest is no mistake of any of them, and nobody's intention."""
    severity = "error" if arguments.strict else "warning"
    where = ", ".join(arguments.paths)
    print(f"{severity}: no manifest was found in {where}: files are named *.yaml or *.yml", file=sys.stderr)
    return 64 if arguments.strict else 0


def _tell(arguments: argparse.Namespace, desired: "Desired", remarks: "tuple[Warned, ...]") -> None:
    kinds = [str(key.kind) for key in desired.objects]
    tasks = sum(len(wanted.tasks) for wanted in desired.objects.values())
    if arguments.format == "json":
        findings = [{**_finding(one.finding, one.severity), "address": one.address} for one in remarks]
        answer = {"valid": True, "findings": findings, "stack": desired.stack.name, "objects": len(kinds)}
        print(json.dumps(answer, indent=2))
        return
    for one in remarks:
        print(f"{one.severity}: {one.finding}", file=sys.stderr)
    counts = [(kinds.count(name), name) for name in dict.fromkeys(["pool", "job", *kinds])]
    severities = [str(one.severity) for one in remarks]
    counts += [(tasks, "task")]
    counts += [(severities.count(name), name) for name in ("warning", "hint") if name in severities]
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
