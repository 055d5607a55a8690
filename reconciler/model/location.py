"""Where a store may be: the folder of a machine, or a container of Azure Blob Storage."""

from urllib.parse import urlsplit


def problem_of(location: str) -> str:
    """What is wrong with a text that is to name a store; empty for a good one."""
    if not location.strip():
        return "expected a folder or a URL, found an empty text"
    if location.startswith("~"):
        return f"expected a path as it is, found {location!r}: nobody puts a home directory in for '~' here"
    if "://" not in location:
        return ""
    try:
        parts = urlsplit(location)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        expected = "expected a folder or https://ACCOUNT.blob.core.windows.net/CONTAINER"
        return f"{expected}, found a URL with {location.partition('://')[0]}://"
    if parts.username or parts.password or parts.query or parts.fragment:
        return (
            "expected a URL without user, password, query and fragment; a signature goes into AZURE_STORAGE_SAS_TOKEN, "
            "a key into AZURE_STORAGE_KEY"
        )
    return ""
