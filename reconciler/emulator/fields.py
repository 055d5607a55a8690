"""Properties that the bodies of several resources share, with their checks. Used by `pool_bodies` and `job_bodies`.

Names and types follow the SDK's models (M) and S24; defaults are the recorded ones (R26, R24c); limits come from M.
"""

from __future__ import annotations

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
    if "httpUrl" not in value:
        raise refuse("MissingRequiredProperty", ("PropertyName", "httpUrl"))
    if "filePath" not in value:
        raise refuse("MissingRequiredProperty", ("PropertyName", "filePath"))


ID = Field(Text(shortest=1, check=check_id), required=True)
NAME = Field(Text(longest=1024))
RETRIES = Number(-1)
TEXT = Field(Text())
FLAG = Field(Flag())
COMMAND = Field(Text(shortest=1), required=True)
NO_CONTAINERS = Field(Missing("Container tasks are not available"))
NO_PACKAGES = Field(
    Listing(Record({"applicationId": Field(Text(shortest=1), required=True), "version": TEXT}), most=10)
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
FILES = Field(
    Listing(
        Record(
            {
                "autoStorageContainerName": Field(Missing("Only httpUrl is available as source of a resource file")),
                "storageContainerUrl": Field(Missing("Only httpUrl is available as source of a resource file")),
                "httpUrl": Field(
                    Text(
                        longest=8192,
                        pattern=re.compile(r"https?://[^\s]+", re.I),
                        reason="A URL with http or https is expected",
                    )
                ),
                "blobPrefix": Field(Missing("Only httpUrl is available as source of a resource file")),
                "filePath": Field(Text(longest=1024, check=_check_relative)),
                "fileMode": Field(
                    Text(pattern=re.compile(r"0?[0-7]{3,4}", re.ASCII), reason="An octal file mode is expected")
                ),
                "identityReference": Field(Missing("Managed identities are not available")),
            },
            check=_check_file,
        )
    )
)
