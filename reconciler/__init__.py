"""Declarative control of Azure Batch.

What the commands do is here as functions:

    (stack,) = reconciler.load(["manifests/quickstart"])
    planned = await reconciler.plan(stack, reconciler.choose_target(stack.stack))
    async for happening in reconciler.events(planned):
        print(happening.at, happening.object, happening.message)

`plan` only reads. `apply(planned)` and `events(planned)` run a plan and do no more than it shows; `plan_removal` is
what `destroy` plans. `save_plan` writes a plan to a file; `read_plan`, `load_again` and `plan_saved` make of that file
what is left to do of it. Errors are ReconcilerError and its kinds, drawn in `reconciler.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconciler.api.applying import apply, events
    from reconciler.api.happenings import Happening
    from reconciler.api.loading import load
    from reconciler.api.options import Options
    from reconciler.api.planned import Planned, plan, plan_removal, plan_saved
    from reconciler.api.saving import load_again, read_plan, save_plan
    from reconciler.api.target import Target, choose_target
    from reconciler.errors import ReconcilerError
    from reconciler.executor import End, Events, Result
    from reconciler.saved import Saved, Sources

__version__ = "0.1.0"
__all__ = [
    "End",
    "Events",
    "Happening",
    "Options",
    "Planned",
    "ReconcilerError",
    "Result",
    "Saved",
    "Sources",
    "Target",
    "apply",
    "choose_target",
    "events",
    "load",
    "load_again",
    "plan",
    "plan_removal",
    "plan_saved",
    "read_plan",
    "save_plan",
]

_WHERE: Final = {
    "End": "executor",
    "Events": "executor",
    "Happening": "api.happenings",
    "Options": "api.options",
    "Planned": "api.planned",
    "ReconcilerError": "errors",
    "Result": "executor",
    "Saved": "saved",
    "Sources": "saved",
    "Target": "api.target",
    "apply": "api.applying",
    "choose_target": "api.target",
    "events": "api.applying",
    "load": "api.loading",
    "load_again": "api.saving",
    "plan": "api.planned",
    "plan_removal": "api.planned",
    "plan_saved": "api.planned",
    "read_plan": "api.saving",
    "save_plan": "api.saving",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: `reconciler --help` needs none of it."""
    if name not in _WHERE:
        raise AttributeError(f"module 'reconciler' has no attribute {name!r}")
    return getattr(import_module(f"reconciler.{_WHERE[name]}"), name)
