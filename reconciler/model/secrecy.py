"""What looks like a secret where nothing says that it is one: parts of texts, and names of environment variables.

Called wherever text of an account or a manifest is shown, saved, or written into a manifest. It errs on the side of
hiding: an ordinary value that is hidden costs a line to write, a key that is shown costs a key.
"""

import re
from collections.abc import Callable
from typing import Final

from reconciler.model.table import MASK

_IN_URL: Final = re.compile(r"(?i)([?&](?:sig|sas|token|key|code|password|secret)=)[^&\s'\"]+")
_USER_INFO: Final = re.compile(r"(://[^/\s:@]+:)[^@/\s]+(?=@)")
_ACCOUNT_KEY: Final = re.compile(r"(?i)((?:AccountKey|SharedAccessSignature|SharedAccessKey)=)[^;\s'\"]+")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_TELLING: Final = frozenset(
    {
        *("apikey", "auth", "authorization", "bearer", "credential", "credentials", "creds", "key", "passphrase"),
        *("passwd", "password", "pat", "pin", "sas", "secret", "secrets", "sig", "signature", "token"),
    }
)
_PARTS: Final = ("password", "passwd", "secret", "apikey", "accesskey", "accountkey", "connectionstring", "credential")
_PLACES: Final = frozenset({"path", "file", "dir", "url", "uri", "name", "id", "vault", "expiry", "ttl"})
"""Last words of names that say where a secret is, or something about it, and not what it is."""


def without_keys(text: str, put: Callable[[str], str] = lambda found: MASK) -> str:
    """*text* with every part that looks like a signature, a key or a password replaced by what *put* makes of it."""
    if "=" not in text and "@" not in text:  # what each pattern asks for: pages mask thousands of short texts
        return text
    for pattern in (_IN_URL, _USER_INFO, _ACCOUNT_KEY):
        text = pattern.sub(lambda match: match[1] + put(match[0].removeprefix(match[1])), text)
    return text


def is_telling(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret: `API_KEY`, `dbPassword`, `DB_PWD`, `GITHUB_PAT`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or (len(words) > 1 and words[-1] in _PLACES):
        return False
    joined = "".join(words)
    return (
        not _TELLING.isdisjoint(words)
        or any(part in joined for part in _PARTS)
        or (len(words) > 1 and words[-1] in ("pwd", "pw", "pass"))
        or joined.endswith(("connstr", "conn"))
    )
