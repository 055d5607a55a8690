"""Plans in files: written by `plan --out`, read again and bound to their sources by `apply FILE`."""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.api.loading import load
from reconciler.api.planned import Planned
from reconciler.api.target import Snapshot
from reconciler.errors import StalePlan, TargetError, UsageError
from reconciler.manifest import read_variables
from reconciler.model.desired import Desired
from reconciler.render.json import dump, plan_json
from reconciler.saved import KIND, STANDARD_INPUT, Saved, Sources, is_plan, refusal

_BEGINNING: Final = 4096
"""Characters in which a plan says that it is one."""


def document(planned: Planned, sources: Sources) -> str:
    """A plan as JSON, for programs to read and for `apply` to run; one that cannot be applied from a file says why."""
    why = not_to_be_saved(planned, sources)
    part = {"refused": why} if why is not None else _saved(planned, sources).content()
    return dump(plan_json(planned.plan, str(planned.target), planned.forecast, planned.guards, part))


def not_to_be_saved(planned: Planned, sources: Sources) -> str | None:
    """Why a plan cannot be applied from a file; None when it can."""
    if isinstance(planned.target, Snapshot):
        return "it was made against a snapshot, and not against an account"
    return refusal(planned.desired, planned.context, sources)


def _saved(planned: Planned, sources: Sources) -> Saved:
    assert not isinstance(planned.target, Snapshot)
    return Saved.of(
        planned.plan,
        planned.desired,
        planned.context,
        endpoint=planned.target.endpoint,
        account=planned.target.account,
        sources=sources,
        at=planned.observed.at,
        nonce=secrets.token_hex(4),
    )


def save_plan(planned: Planned, sources: Sources, file: Path) -> None:
    """Write a plan where nobody else may read it, as a whole or not at all. Raises UsageError for one that could not be
    applied, OSError."""
    if (why := not_to_be_saved(planned, sources)) is not None:
        raise UsageError(f"the plan cannot be saved: {why}")
    if file.exists() and not file.is_file():  # a file would be put where /dev/stdout was, for everybody
        raise UsageError(f"the plan cannot be saved: {file} is no plain file")
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # for its owner alone
    try:
        with os.fdopen(number, "w", encoding="utf-8") as out:
            out.write(document(planned, sources) + "\n")
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_saved(paths: list[str]) -> Saved | None:
    """The plan that a command was given in the place of manifests; None where it was given none.

    Raises UsageError for a plan among other things, and what `read_plan` raises.
    """
    found = [path for path in paths if _is_plan(path)]
    if not found:
        return None
    if len(paths) > 1:
        raise UsageError(f"{found[0]} is a plan, which is applied alone: it says where its manifests are")
    return read_plan(found[0])


def read_plan(path: str) -> Saved:
    """The plan in a file. Raises TargetError for one that cannot be applied, OSError."""
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise TargetError(f"{path} is not a whole plan: {error}") from None
    return Saved.parse(content, path)


def _is_plan(path: str) -> bool:
    """By its content: a manifest may be JSON, too, and a plan that is not whole is no manifest."""
    if path == STANDARD_INPUT or not Path(path).is_file():
        return False
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(_BEGINNING)
            if not text.lstrip().startswith("{") or f'"{KIND}"' not in text:
                return False
            text += file.read()
        return is_plan(json.loads(text))
    except (OSError, UnicodeDecodeError):  # what cannot be read is told where manifests are
        return False
    except ValueError:
        return '"format_version"' in text[:_BEGINNING]


def load_again(saved: Saved, given: Mapping[str, str]) -> Desired:
    """The manifests of a plan, read where they were: from the folder in which the plan was made, or from this one where
    that is not there. *given* are the variables that the plan names.

    Raises UsageError for other variables, StalePlan where the stack is gone, ManifestErrors.
    """
    sources = saved.sources
    if left_out := sorted(set(sources.variables) - given.keys()):
        names = " ".join(f"--var {name}=VALUE" for name in left_out)
        raise UsageError(f"the plan was made with {names}; values are not saved, they may be secrets: give them again")
    if more := sorted(given.keys() - set(sources.variables)):
        raise UsageError(f"--var {more[0]}: the plan was made without it; make another plan")
    variables: dict[str, str] = {}
    for path in sources.var_files:
        variables |= read_variables(_place(sources, path))
    stacks = load([_place(sources, path) for path in sources.paths], variables=variables | dict(given))
    found = [desired for desired in stacks if desired.stack.name == saved.stack]
    if not found:
        names = ", ".join(f"'{desired.stack.name}'" for desired in stacks)
        raise StalePlan(f"the plan is for stack '{saved.stack}', and the manifests are now of {names}")
    return found[0]


def _place(sources: Sources, path: str) -> str:
    """A path of then, as it is to be read now."""
    if Path(path).is_absolute() or not Path(sources.folder).is_dir() or Path(sources.folder) == Path.cwd():
        return path
    return os.path.relpath(Path(sources.folder) / path)
