"""The run of the suite on one store: which tests belong to it, and how many of them really used that store."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import postgres

from actorium.store.memory import MemoryStore
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.sqlite import SQLiteStore

# Folders whose tests run no application on a store of their choice: they are about one store, or have a model of one.
OUTSIDE = frozenset({"benchmarks", "docs", "pages", "project", "simulation", "store", "typing"})
_STORE = "store of the test"
_POSTGRESQL, _SQLITE, _MEMORY, _NONE = "PostgreSQL", "SQLite", "memory", "no store"


def leave_out_other_stores(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that are about one store."""
    config.hook.pytest_deselected(items=[item for item in items if _is_outside(item)])
    items[:] = [item for item in items if not _is_outside(item)]


def _is_outside(item: pytest.Item) -> bool:
    return any(item.iter_markers("about")) or not OUTSIDE.isdisjoint(item.nodeid.split("/")[1:2])


@contextmanager
def store_noted(item: pytest.Item) -> Iterator[None]:
    """Note in the report of a test which store it opened; PostgreSQL counts if it opened several."""
    opened: set[str] = {_NONE}
    made = postgres.made[0]
    with pytest.MonkeyPatch.context() as patch:
        for of, name, store in (
            (PostgreSQLStore, "_open_with", _POSTGRESQL),
            (SQLiteStore, "open", _SQLITE),
            (MemoryStore, "open", _MEMORY),
        ):
            patch.setattr(of, name, _noting(getattr(of, name), opened, store))
        yield
    if postgres.made[0] > made:  # in another process too
        opened.add(_POSTGRESQL)
    item.user_properties.append(
        (_STORE, next(store for store in (_POSTGRESQL, _SQLITE, _MEMORY, _NONE) if store in opened))
    )


def _noting(open_it: Any, opened: set[str], store: str) -> Any:
    async def noted(*arguments: Any, **options: Any) -> None:
        opened.add(store)
        await open_it(*arguments, **options)

    return noted


def say_how_many(reporter: pytest.TerminalReporter) -> None:
    """Print how many tests used each store."""
    ends = [
        report for reports in reporter.stats.values() for report in reports if getattr(report, "when", "") == "teardown"
    ]
    counts = Counter(value for report in ends for name, value in report.user_properties if name == _STORE)
    reporter.write_line(
        "Tests by the store that they opened: " + ", ".join(f"{store} {n}" for store, n in counts.most_common())
    )
    if reporter.verbosity > 1:
        for report in ends:
            if (_STORE, _SQLITE) in report.user_properties:
                reporter.write_line(f"on SQLite: {report.nodeid}")
