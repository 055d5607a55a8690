"""Properties that the bodies of several resources share, with their checks. Used by `pool_bodies` and `job_bodies`.

Names and types follow the SDK's models (M) and S24; defaults are the recorded ones (R26, R24c); limits come from M.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from reconciler.emulator.errors import bad_property, refuse
from reconciler.emulator.schema import (
    IDENTIFIER,
    Choice,
    Field,
    Flag,
    Listing,
    Missing,
    Number,
    Record,
    Secret,
    Text,
)


def check_id(name: str, value: str) -> None:
    if not IDENTIFIER.fullmatch(value):
        raise bad_property(name, value, "1 to 64 letters, digits, hyphens and underscores are expected")


def _check_environment_name(name: str, value: str) -> None:
    if not value or "=" in value:
        raise bad_property(name, value, "The name of an environment variable is expected")


def _check_relative(name: str, value: str) -> None:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts or path == PurePosixPath("."):
        raise bad_property(name, value, "A relative path without '..' is expected")


def _check_metadata(name: str, items: list[Any]) -> None:
    if any(not item["name"] for item in items):
        raise refuse("EmptyMetadataKey", ("PropertyName", name))


def _check_user(name: str, value: dict[str, Any]) -> None:
    if "username" in value and "autoUser" in value:
        raise bad_property(name, "username and autoUser", "Only one of username and autoUser may be given")
    if not value:
        value["autoUser"] = {"scope": "pool", "elevationLevel": "nonadmin"}


def _check_file(name: str, value: dict[str, Any]) -> None:
    """One source; a path is a must and a prefix is senseless with a single file (M:ResourceFile)."""
    sources = [key for key in ("httpUrl", "storageContainerUrl", "autoStorageContainerName") if key in value]
    if not sources:
        raise refuse("MissingRequiredProperty", ("PropertyName", "httpUrl"))
    if len(sources) > 1:
        raise bad_property(name, " and ".join(sources), "Only one source of a resource file may be given")
    if "httpUrl" in value and "filePath" not in value:
        raise refuse("MissingRequiredProperty", ("PropertyName", "filePath"))
    if "httpUrl" in value and "blobPrefix" in value:
        raise bad_property("blobPrefix", value["blobPrefix"], "A prefix needs storageContainerUrl")


def _check_files(name: str, items: list[Any]) -> None:
    """G:BatchExplorer#30, #978."""
    if len(json.dumps(items, separators=(",", ":"))) > _FILES_LONGEST:
        reason = f"Total size of resourceFiles cannot be more than {_FILES_LONGEST} characters"
        raise refuse("InvalidPropertyValue", ("PropertyName", name), ("Reason", reason))


def _check_header(name: str, value: str) -> None:
    if value.lower() in _OWN_HEADERS:
        raise bad_property(name, value, "The header is set by the upload itself")


_FILES_LONGEST = 32_768
_OWN_HEADERS = frozenset(
    ("host", "connection", "content-length", "transfer-encoding", "authorization", "x-ms-blob-type", "x-ms-version")
)
ID = Field(Text(shortest=1, check=check_id), required=True)
NAME = Field(Text(longest=1024))
RETRIES = Number(-1)
TEXT = Field(Text())
FLAG = Field(Flag())
COMMAND = Field(Text(shortest=1), required=True)
IDENTITY = Record({"resourceId": Field(Text(shortest=1), required=True)})
NO_IDENTITIES = Field(Missing("Managed identities are not available", simulated=IDENTITY))


def _check_login(name: str, value: dict[str, Any]) -> None:
    """M:ContainerRegistryReference. The password is gone already when this is asked."""
    if "identityReference" in value and "username" in value:
        raise bad_property(name, "username and identityReference", "Only one way to log in may be given")


REGISTRY = Record(
    {
        "username": Field(Text(shortest=1)),
        "password": Field(Secret(Text(shortest=1))),  # R17:tasks
        "registryServer": Field(Text(shortest=1)),
        "identityReference": NO_IDENTITIES,
    },
    check=_check_login,
)
_FOLDERS = {folder.lower(): folder for folder in ("Shared", "Startup", "VfsMounts", "Task", "JobPrep", "Applications")}
_PLACES = {"taskworkingdirectory": "taskWorkingDirectory", "containerimagedefault": "containerImageDefault"}
CONTAINER = Record(
    {
        "containerRunOptions": TEXT,
        "imageName": Field(Text(shortest=1), required=True),
        "registry": Field(REGISTRY),
        "workingDirectory": Field(Choice(tuple(_PLACES), _PLACES)),
        "containerHostBatchBindMounts": Field(
            Listing(Record({"source": Field(Choice(tuple(_FOLDERS), _FOLDERS)), "isReadOnly": FLAG}))
        ),
    }
)
NO_CONTAINERS = Field(Missing("Container tasks are not available", simulated=CONTAINER))
PACKAGES = Field(Listing(Record({"applicationId": Field(Text(shortest=1), required=True), "version": TEXT}), most=10))

UPLOAD_HEADER = Record(
    {
        "name": Field(
            Text(
                longest=256,
                pattern=re.compile(r"[A-Za-z0-9!#$%&'*+.^_|~-]+", re.ASCII),
                reason="The name of a header is expected",
                check=_check_header,
            ),
            required=True,
        ),
        "value": Field(
            Text(pattern=re.compile(r"[\x20-\x7e]*"), reason="Printable characters without line breaks are expected")
        ),
    }
)
METADATA = Field(
    Listing(
        Record({"name": Field(Text(), required=True), "value": Field(Text(), required=True)}), check=_check_metadata
    )
)
ENVIRONMENT = Field(Listing(Record({"name": Field(Text(check=_check_environment_name), required=True), "value": TEXT})))
USER = Field(
    Record(
        {
            "username": Field(Text(shortest=1, longest=64)),
            "autoUser": Field(
                Record(
                    {
                        "scope": Field(Choice(("pool", "task")), default="pool"),
                        "elevationLevel": Field(Choice(("nonadmin", "admin")), default="nonadmin"),
                    }
                )
            ),
        },
        check=_check_user,
    ),
    default={},
)
WEB_ADDRESS = Text(
    longest=8192, pattern=re.compile(r"https?://[^\s]+", re.I), reason="A URL with http or https is expected"
)
FILES = Field(
    Listing(
        Record(
            {
                "autoStorageContainerName": Field(
                    Missing(
                        "There is no storage account of the Batch account's own: use storageContainerUrl",
                        simulated=Text(shortest=1),
                    )
                ),
                "storageContainerUrl": Field(WEB_ADDRESS),
                "httpUrl": Field(WEB_ADDRESS),
                "blobPrefix": Field(Text(longest=1024)),
                "filePath": Field(Text(longest=1024, check=_check_relative)),
                "fileMode": Field(
                    Text(pattern=re.compile(r"0?[0-7]{3,4}", re.ASCII), reason="An octal file mode is expected")
                ),
                "identityReference": NO_IDENTITIES,
            },
            check=_check_file,
        ),
        check=_check_files,
    )
)
_CONDITIONS = {"tasksuccess": "TaskSuccess", "taskfailure": "TaskFailure", "taskcompletion": "TaskCompletion"}
OUTPUT_FILES = Field(
    Listing(
        Record(
            {
                "filePattern": Field(Text(shortest=1, longest=4096), required=True),
                "destination": Field(
                    Record(
                        {
                            "container": Field(
                                Record(
                                    {
                                        "path": Field(Text(longest=1024)),
                                        "containerUrl": Field(WEB_ADDRESS, required=True),
                                        "identityReference": NO_IDENTITIES,
                                        "uploadHeaders": Field(Listing(UPLOAD_HEADER)),
                                    }
                                ),
                                required=True,
                            )
                        }
                    ),
                    required=True,
                ),
                "uploadOptions": Field(
                    Record({"uploadCondition": Field(Choice(tuple(_CONDITIONS), _CONDITIONS), required=True)}),  # R22
                    required=True,
                ),
            }
        )
    )
)
