"""How many cores a machine of some size has, read from its name. Asked by `usage`, `scaling` and the pools' bodies.

Names since 2016 carry the number (D:vm-naming-conventions); those before that are listed. No list of all sizes is kept,
so a size nobody knows is not refused.
"""

from __future__ import annotations

import re

# D:sizes-previous-gen: the basic, A, D, DS, G and GS series, whose number is a rank.
_A = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 8: 8, 9: 16, 10: 8, 11: 16}
_D = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_G = {1: 2, 2: 4, 3: 8, 4: 16, 5: 32}
_RANKED = re.compile(r"(?:basic_(?P<a>a)|standard_(?P<b>a|d|ds|g|gs))(?P<rank>\d+)(?P<rest>_v2)?(?:_promo)?")
_NAMED = {"small": 1, "medium": 2, "large": 4, "extralarge": 8}
# [Family][Sub-family][vCPUs]-[constrained vCPUs][features]_[accelerator]_[version]
_TELLING = re.compile(r"(?:standard|basic)_[a-z]+(?P<all>\d+)(?:-(?P<some>\d+))?[a-z]*(?:_.*)?")


def cores(vm_size: str) -> int | None:
    """None for a name that does not tell."""
    name = vm_size.lower()
    if name in _NAMED:
        return _NAMED[name]
    ranked = _RANKED.fullmatch(name)
    if ranked is not None:
        known = _series(ranked["a"] or ranked["b"], second=ranked["rest"] is not None)
        if int(ranked["rank"]) in known:
            return known[int(ranked["rank"])]
    telling = _TELLING.fullmatch(name)
    return None if telling is None else int(telling["some"] or telling["all"]) or None


def _series(letters: str, *, second: bool) -> dict[int, int]:
    if letters == "a":
        return {} if second else _A  # A1_v2 to A8_v2 carry the number
    return _G if letters.startswith("g") else _D
