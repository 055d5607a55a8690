"""What the account looked like before: kept only while a rule asks for stale answers. Used by `engine`.

Reads that lag behind writes are real: right after a task was added its job counted no active one (R24c:jobs_and_tasks,
D:batch-get-resource-counts).
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping

from reconciler.emulator.encoding import to_text
from reconciler.emulator.records import Entity, Json, to_json
from reconciler.emulator.store import TABLES
from reconciler.emulator.world import World

Where = tuple[str, str]
_MOST = 100_000


class History:
    """The present rows as text, and what undoes each of the last changes."""

    def __init__(self, w: World) -> None:
        self._rows: dict[Where, str] = {}
        self._undo: deque[tuple[int, dict[Where, str | None]]] = deque(maxlen=_MOST)
        for table in TABLES:
            entities: dict[str, Entity] = getattr(w, table)
            self._rows.update({(table, key): to_text(to_json(entity)) for key, entity in entities.items()})

    def add(self, at: int, changes: Mapping[Where, Json | None]) -> None:
        """One change of the account at that time."""
        self._undo.append((at, {where: self._rows.get(where) for where in changes}))
        for where, row in changes.items():
            if row is None:
                self._rows.pop(where, None)
            else:
                self._rows[where] = to_text(row)

    def before(self, present: World, *, at: int, changes: int | None) -> World:
        """The account so many *changes* ago, or at a time; as far back as is known."""
        rows = dict(self._rows)
        for count, (when, undo) in enumerate(reversed(self._undo)):
            if count >= changes if changes is not None else when <= at:
                break
            for where, text in undo.items():
                if text is None:
                    rows.pop(where, None)
                else:
                    rows[where] = text
        return _world(present, rows)


def _world(present: World, rows: Mapping[Where, str]) -> World:
    tables: defaultdict[str, dict[str, Json]] = defaultdict(dict)
    for (table, key), text in rows.items():
        tables[table][key] = json.loads(text)
    past = World(present.account, present.switches, present.timings, present.limits)
    past.load(tables, present.serial)
    past.now, past.packages = present.now, present.packages
    return past
