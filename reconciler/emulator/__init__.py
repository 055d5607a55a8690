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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.emulator.control import EmulatorError, Running
    from reconciler.emulator.embedded import Emulator
    from reconciler.emulator.simulated import Outcome
    from reconciler.emulator.simulation import Simulation

__all__ = ["Emulator", "EmulatorError", "Outcome", "Running", "Simulation"]
_HOMES = {
    "Emulator": "embedded",
    "EmulatorError": "control",
    "Outcome": "simulated",
    "Running": "control",
    "Simulation": "simulation",
}


def __getattr__(name: str) -> Any:
    """Imported when first asked for: pytest imports the fixtures in every run, whether a test wants them or not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
