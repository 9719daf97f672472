"""Make a ledger, or bring an older one up to date, with sqlite-utils' migrations.

The one module of the room that imports sqlite-utils (70 ms); it is imported only when a
database is new or old. sqlite-utils notes every step in ``_sqlite_migrations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlite_utils import Database, Migrations

from mirror.ledger.schema import STEPS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the steps that ``connection``'s database lacks: all of them or none.

    Args:
        connection: With an open ``BEGIN IMMEDIATE``, so that of two processes one works and the
            other finds everything done; the caller commits.
    """
    migrations = Migrations("ledger")
    for number, (name, statements) in enumerate(STEPS, start=1):
        migrations(name=name)(_step(number, statements))
    # sqlite-utils' default would turn recursive triggers on for this connection only.
    migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))


def _step(number: int, statements: Iterable[str]) -> Callable[[Database], None]:
    """Return the function that sqlite-utils calls for one step."""

    def run(database: Database) -> None:
        for statement in statements:
            database.execute(statement)
        # Part of the step's transaction: readers learn the version without sqlite-utils.
        database.execute(f"PRAGMA user_version = {number}")

    return run
