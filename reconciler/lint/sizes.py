"""How many cores a VM size has, as far as its name tells.

Newer names say the number of vCPUs after the family, and after a dash the number left to a constrained size
(https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions). The first generations counted up instead.
"""

import re
from typing import Final

_SIZE: Final = re.compile(
    r"(?:standard|basic)_(?P<family>[a-z]+?)(?P<size>[0-9]+)(?:-(?P<left>[0-9]+))?(?P<more>[a-z]*)"
    r"(?:_[a-z0-9]+)*?(?:_v(?P<version>[0-9]+))?"
)
_A: Final = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 8: 8, 9: 16, 10: 8, 11: 16}
_D: Final = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_G: Final = {1: 2, 2: 4, 3: 8, 4: 16, 5: 32}


def cores(size: object) -> int | None:
    """vCPUs of a VM size such as Standard_D2s_v3; None where the name does not tell."""
    found = _SIZE.fullmatch(size.lower()) if isinstance(size, str) else None
    if found is None:
        return None
    if found["left"]:
        return int(found["left"])
    number, version = int(found["size"]), int(found["version"] or 1)
    match found["family"]:
        case "a" if version == 1:
            return _A.get(number)
        case "d" | "ds" if version <= 2:
            return _D.get(number)
        case "g" | "gs":
            return _G.get(number)
    return number or None
