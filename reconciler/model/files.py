"""Files: what is put on the node before a command starts, and what is kept of it after it ended.

Sources: REST reference 8.6 (sizes) and 8.10. URLs are masked where they are shown, because they may carry a shared
access signature; the service returns them whole (recorded).
"""

import json
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, model_validator

from reconciler.model.field import Compare, OneOf, Spec, refusal, wire
from reconciler.model.types import FileMode, Name, RelativePath, WebAddress
from reconciler.model.users import NodeIdentityReference

FILES_LIMIT: Final = 32_768
"""Characters of one task's resource files as JSON (refused by the service above; GitHub BatchExplorer#30, #978)."""


class ResourceFile(OneOf):
    """A file, or the blobs of a container, put into the working directory before the command starts."""

    one_of = ("httpUrl", "storageContainerUrl", "autoStorageContainerName")

    httpUrl: WebAddress | None = wire("URL of one file, http or https. Needs `filePath`.", secret=True)
    storageContainerUrl: WebAddress | None = wire("URL of a blob container; all its blobs are downloaded.", secret=True)
    autoStorageContainerName: Name | None = wire("A container of the account's own storage account.")
    blobPrefix: str | None = wire("Only blobs whose names begin so. Not with `httpUrl`.")
    filePath: RelativePath | None = wire(
        "Where to put it, relative to the working directory: the file with `httpUrl`, else a folder."
    )
    fileMode: FileMode | None = wire("Octal file mode on Linux nodes.", default="0770")
    identityReference: NodeIdentityReference | None = wire("Identity that reads the storage, instead of a signature.")

    @model_validator(mode="after")
    def _path_and_prefix(self) -> Self:
        if self.httpUrl is not None and not self.filePath:
            raise refusal("expected filePath beside httpUrl, found none")
        if self.httpUrl is not None and self.blobPrefix is not None:
            raise refusal("expected no blobPrefix beside httpUrl: it selects blobs of a container")
        return self


def _small_enough(files: list[ResourceFile] | None) -> list[ResourceFile] | None:
    bodies = [file.model_dump(exclude_none=True) for file in files or ()]
    length = len(json.dumps(bodies, separators=(",", ":"))) if bodies else 0
    if length > FILES_LIMIT:
        raise refusal(
            f"expected at most {FILES_LIMIT:,} characters of resource files as JSON, found {length:,}: use a container "
            f"or an archive"
        )
    return files


ResourceFiles: TypeAlias = Annotated[list[ResourceFile] | None, AfterValidator(_small_enough)]


class OutputFileUploadHeader(Spec):
    """A header of the upload."""

    name: Name = wire("Name of the header.", required=True, compare=Compare.FOLDED)
    value: str | None = wire("Its value.")


class OutputFileBlobContainerDestination(Spec):
    """A blob container that takes the files."""

    containerUrl: WebAddress = wire(
        "URL of the container, with a signature that allows writing unless an identity is given.",
        required=True,
        secret=True,
    )
    path: str | None = wire("Name of the blob, or of a folder when the pattern has wildcards. None: the root.")
    identityReference: NodeIdentityReference | None = wire("Identity that writes, instead of a signature.")
    uploadHeaders: list[OutputFileUploadHeader] | None = wire(
        "Headers of the upload, such as the content type.", keyed_by="name"
    )


class OutputFileDestination(Spec):
    """Where files go."""

    container: OutputFileBlobContainerDestination = wire("A blob container: the one kind there is.", required=True)


class OutputFileUploadConfiguration(Spec):
    """When files are uploaded."""

    uploadCondition: Literal["tasksuccess", "taskfailure", "taskcompletion"] = wire(
        "After which end of the task.", required=True, default="taskcompletion", compare=Compare.FOLDED
    )


class OutputFile(Spec):
    """Files that are uploaded when the command has ended."""

    filePattern: Name = wire(
        "Which files: `*`, `**`, `?` and `[abc]`, relative to the working directory; environment variables count.",
        required=True,
    )
    destination: OutputFileDestination = wire("Where they go.", required=True)
    uploadOptions: OutputFileUploadConfiguration = wire("When they are uploaded.", required=True)
