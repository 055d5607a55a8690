"""State in one SQLite file, written through: what an answered request changed is on file before it is answered.

Used by `engine` through the `Store` protocol. A killed emulator loses nothing that was answered.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.emulator.encoding import to_text

TABLES = ("pools", "samples", "usages", "nodes", "jobs", "schedules", "tasks", "attendances", "runs")


class SqliteStore:
    """Rows of JSON by table and key."""

    keeps = True

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        for table in TABLES:
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY, body TEXT NOT NULL)")
        self._db.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")

    def load(self) -> tuple[dict[str, dict[str, dict[str, Any]]], int]:
        rows = {
            table: {key: json.loads(body) for key, body in self._db.execute(f"SELECT key, body FROM {table}")}
            for table in TABLES
        }
        serial = self._db.execute("SELECT value FROM meta WHERE name = 'serial'").fetchone()
        return rows, serial[0] if serial else 0

    def save(self, changes: Mapping[tuple[str, str], dict[str, Any] | None], serial: int) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        with db:
            for (table, key), body in changes.items():
                if body is None:
                    db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
                else:
                    row = (key, to_text(body))
                    db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", row)
            db.execute("INSERT OR REPLACE INTO meta VALUES ('serial', ?)", (serial,))

    def close(self) -> None:
        self._db.close()


class MemoryStore:
    """Keeps nothing: for tests of the engine alone, and for accounts that need not survive."""

    keeps = False

    def load(self) -> tuple[dict[str, dict[str, dict[str, Any]]], int]:
        return {table: {} for table in TABLES}, 0

    def save(self, changes: Mapping[tuple[str, str], dict[str, Any] | None], serial: int) -> None:
        return None

    def close(self) -> None:
        return None
