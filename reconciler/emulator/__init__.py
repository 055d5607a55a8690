"""A local Azure Batch account: the data plane over HTTP on loopback, its nodes as process groups on this machine.

It is a witness for the rest of the project, so it imports nothing from it and shares no constant with it.

How a behaviour is known stands beside it as a tag: ``R26:jobs`` is a recorded session of the real service (R17 to R26
give the year; the name after the colon is the scenario), ``M:Class.field``, ``E:Enum`` and ``O:method`` are docstrings
of the released SDK, ``S24`` is the OpenAPI document of 2024-07-01, ``DR``, ``DE`` and ``DF`` are the service's REST
reference, its list of error codes and its page on filters, ``D:page`` is another documentation page, ``SEED`` the pages
on job preparation and release, ``NET`` the .NET SDK, ``X`` was seen by running released clients, ``G:name`` is a
long-lived third-party user of the service, and INFERRED is a conclusion. What no source decides is a named field of
`switches.Switches`.
"""

from typing import TYPE_CHECKING, Any

from reconciler.emulator.control import EmulatorError, Running
from reconciler.emulator.embedded import Emulator

if TYPE_CHECKING:
    from reconciler.emulator.simulated import Outcome
    from reconciler.emulator.simulation import Simulation

__all__ = ["Emulator", "EmulatorError", "Outcome", "Running", "Simulation"]


def __getattr__(name: str) -> Any:
    """What needs more than the standard library is imported when it is first asked for."""
    if name == "Simulation":
        from reconciler.emulator.simulation import Simulation

        return Simulation
    if name == "Outcome":
        from reconciler.emulator.simulated import Outcome

        return Outcome
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
