"""Secrets never leave: what looks like a signature or a key inside a value is masked wherever a value is shown."""

import re
from typing import Any, Final

MASK: Final = "(secret)"
_IN_URL: Final = re.compile(r"(?i)([?&](?:sig|sas|token|key|code|password|secret)=)[^&\s'\"]+")
_USER_INFO: Final = re.compile(r"(://[^/\s:@]+:)[^@/\s]+@")
_ACCOUNT_KEY: Final = re.compile(r"(?i)((?:AccountKey|SharedAccessSignature|SharedAccessKey)=)[^;\s'\"]+")


def masked(value: Any) -> Any:
    """The value with every secret-looking part replaced; lists and mappings all the way down."""
    if isinstance(value, str):
        value = _IN_URL.sub(rf"\1{MASK}", value)
        value = _USER_INFO.sub(rf"\1{MASK}@", value)
        return _ACCOUNT_KEY.sub(rf"\1{MASK}", value)
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value
