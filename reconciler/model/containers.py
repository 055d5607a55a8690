"""Containers: registries, what a pool needs to run them, and the container of one task.

Sources: REST reference 8.3, 8.6 and 8.11; a registry's password is never returned (recorded).
"""

from typing import Literal, Self

from pydantic import model_validator

from reconciler.model.field import Compare, Paired, Spec, refusal, wire
from reconciler.model.types import Name, Secret
from reconciler.model.users import NodeIdentityReference


class ContainerRegistryReference(Paired):
    """A private registry of images."""

    pair = ("username", "password")

    registryServer: Name | None = wire("Its address.", default="docker.io", compare=Compare.FOLDED)
    username: Name | None = wire("User to log in as, with a password.")
    password: Secret | None = wire("Password of the user.", write_only=True, secret=True)
    identityReference: NodeIdentityReference | None = wire("Identity that logs in, instead of user and password.")

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.identityReference is not None and (self.username is not None or self.password is not None):
            raise refusal("expected no username and password beside identityReference")
        return self


class ContainerHostBatchBindMountEntry(Spec):
    """A directory of the node that a container sees."""

    source: Literal["Shared", "Startup", "VfsMounts", "Task", "JobPrep", "Applications"] | None = wire(
        "Which directory.", compare=Compare.FOLDED
    )
    isReadOnly: bool | None = wire("Whether the container may only read it.", default=False)


class TaskContainerSettings(Spec):
    """The container a command runs in. Needed by every task, and allowed, only on a pool set up for containers."""

    imageName: Name = wire("The image, as for `docker pull`; without a tag the latest.", required=True)
    containerRunOptions: str | None = wire("More options for `docker create`.")
    registry: ContainerRegistryReference | None = wire("Registry of the image, unless the pool names it.")
    workingDirectory: Literal["taskWorkingDirectory", "containerImageDefault"] | None = wire(
        "Where the command starts: in the task's directory, or where the image says.",
        default="taskWorkingDirectory",
        compare=Compare.FOLDED,
    )
    containerHostBatchBindMounts: list[ContainerHostBatchBindMountEntry] | None = wire(
        "Directories of the node that the container sees. None: all of Batch's. An empty list is sent, and shuts all "
        "of them out, but is not told from an absent one later."
    )


class ContainerConfiguration(Spec):
    """Sets the nodes of a pool up for containers."""

    type: Literal["dockerCompatible", "criCompatible"] = wire(
        "The container runtime.", required=True, compare=Compare.FOLDED
    )
    containerImageNames: list[str] | None = wire("Images to fetch when a node starts, as for `docker pull`.")
    containerRegistries: list[ContainerRegistryReference] | None = wire("Private registries that images come from.")
