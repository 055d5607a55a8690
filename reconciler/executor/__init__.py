"""Look, plan, act, and again, until the account equals the manifests: what runs behind `apply` and `destroy`.

Each pass looks at what is there and asks the plan what comes next. A worker returns an `Outcome`; no exception of one
object tears another's work down. Waiting is not failing, and a pass may be killed anywhere.
"""

from reconciler.executor.approval import Approvals, approve
from reconciler.executor.patience import Patience
from reconciler.executor.result import End, Events, Pass, Result, Settings
from reconciler.executor.run import Run
from reconciler.executor.snapshot import look, look_ahead, read_results

__all__ = [
    "Approvals",
    "End",
    "Events",
    "Pass",
    "Patience",
    "Result",
    "Run",
    "Settings",
    "approve",
    "look",
    "look_ahead",
    "read_results",
]
