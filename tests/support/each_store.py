"""Runs the tests of a folder on every store: each is written for the store in memory, and runs on PostgreSQL too.

A folder's conftest.py imports `pytest_generate_tests` and `store_of_the_test` from here. In the second run each
`MemoryStore` and each `memory://` is a new log on a real server.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import virtual_time
from support.postgres import new_log

import actorium.store.memory
from actorium import EventStore
from actorium.store.postgresql import PostgreSQLNodeStore
from actorium.store.urls import open_store

MEMORY = actorium.store.memory.MemoryStore
# Times of the store that virtual time must not reach: it jumps while the server works in real time.
_FOREVER = {"lease_s": "1e9", "patience_s": "1e9", "connect_timeout_s": "1e9", "statement_timeout_s": "2e6"}
# Calls that wait for what may never happen, or not before some time has passed.
_WAITS = frozenset({"watch", "hear", "until_lost", "confirm_lease"})


class RealTimeStore(PostgreSQLNodeStore):
    """A store whose calls stop the virtual clock until the server has answered."""


def _counted(name: str) -> Any:
    async def call(self: RealTimeStore, *arguments: Any, **options: Any) -> Any:
        with virtual_time.real_work():
            return await getattr(PostgreSQLNodeStore, name)(self, *arguments, **options)

    return call


# All calls, so that none is forgotten: while the server works on one that is not counted, the clock jumps past whatever
# the test waits for. `append` returns a future without being a coroutine function.
for _name, _method in inspect.getmembers(PostgreSQLNodeStore, inspect.isfunction):
    if _name == "append" or (inspect.iscoroutinefunction(_method) and _name[0] != "_" and _name not in _WAITS):
        setattr(RealTimeStore, _name, _counted(_name))


# Modules, and single tests. Most have so many cases that they would take minutes on a server; some only name a store,
# or run on a server by themselves; two are about SQLite, and one derives its store from that in memory.
ON_MEMORY_ONLY = frozenset(
    {
        "test_a_commit_that_fails_keeps_the_order_of_a_stream",
        "test_backpressure",
        "test_buses",
        "test_cancellation",
        "test_catalog",
        "test_crash_points",
        "test_first_start",
        "test_lost_messages",
        "test_memory",
        "test_money",
        "test_projections_dialect",
        "test_read_only",
        "test_saga_definition",
        "test_settings",
        "test_slow_queries",
        "test_user_code_raises",
        "test_validation",
    }
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of a module that uses a store in memory twice."""
    path = Path(metafunc.module.__file__ or "")
    source = path.read_text(encoding="utf-8")
    names = (path.stem, metafunc.function.__name__)
    if ON_MEMORY_ONLY.isdisjoint(names) and ("memory://" in source or "MemoryStore" in source):
        stores = ["memory", "postgresql"]
        metafunc.parametrize("store_of_the_test", stores, indirect=True, ids=[f"on {store}" for store in stores])


@pytest.fixture(autouse=True)
def store_of_the_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the store that the test runs on in the place of the one in memory."""
    if getattr(request, "param", "memory") == "memory":
        yield
        return
    with ExitStack() as logs:

        def new_store(**_: Any) -> EventStore:
            return open_store(logs.enter_context(new_log(**_FOREVER, sslmode="disable")))

        monkeypatch.setattr("actorium.store.postgresql.PostgreSQLNodeStore", RealTimeStore)
        for module in list(sys.modules.values()):
            if getattr(module, "MemoryStore", None) is MEMORY:
                monkeypatch.setattr(module, "MemoryStore", new_store)
        yield
