"""Names and values: variables of a process, and metadata of an object."""

from typing import Self

from pydantic import model_validator

from reconciler.model.field import Spec, refusal, wire
from reconciler.model.types import VariableName


class EnvironmentSetting(Spec):
    """A variable in the environment of a task's process."""

    name: VariableName = wire("Name of the variable.", required=True)
    value: str | None = wire("Its value. The service returns it in clear to everyone who may read the account.")


class MetadataItem(Spec):
    """A name and a value that the service keeps with the object and does not read."""

    name: str = wire(
        "Name of the item. `reconciler` is taken: it holds the ownership mark.", required=True, min_length=1
    )
    value: str = wire("Its value.", required=True)

    @model_validator(mode="after")
    def _mark_is_ours(self) -> Self:
        if self.name.lower() == "reconciler":
            raise refusal("expected another name: 'reconciler' holds the ownership mark")
        return self
