"""The store that a test runs on, where the test is about no store in particular.

Such a test says `memory://`, makes a `MemoryStore`, or asks for the fixture `log_url` if it opens its log twice or from
another process. A test that is about one store has the marker `about`, with the store's name.

`pytest --store postgresql` runs every test that has no such marker on PostgreSQL: each `MemoryStore`, each `memory://`
and each `log_url` is a new log on a real server. Without the option the tests of the folders runtime/ and sagas/ that
are cheap enough run on both.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import virtual_time
from support.postgres import new_log
from support.runs_on import store_noted

import actorium.store.memory
from actorium import EventStore
from actorium.store.postgresql import PostgreSQLNodeStore
from actorium.store.urls import open_store

MEMORY = actorium.store.memory.MemoryStore
# Times of the store that virtual time must not reach: it jumps while the server works in real time.
_FOREVER = {"lease_s": "1e9", "patience_s": "1e9", "connect_timeout_s": "1e9", "statement_timeout_s": "2e6"}
# Calls that wait for what may never happen, or not before some time has passed.
_WAITS = frozenset({"watch", "hear", "until_lost", "confirm_lease"})

# What these build on a store in memory stays there: models of stores, and the read models of a run beside the log.
_KEEP_MEMORY = ("actorium.simulation", "actorium.testing", "actorium.corrections")


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


# Modules, and single tests, that run on PostgreSQL only when `--store postgresql` asks for it. Most have so many cases
# that they would take minutes on a server; some only name a store.
ONLY_WHEN_ASKED = frozenset(
    {
        "test_a_commit_that_fails_keeps_the_order_of_a_stream",
        "test_backpressure",
        "test_buses",
        "test_cancellation",
        "test_catalog",
        "test_crash_points",
        "test_first_start",
        "test_first_start_of_an_inbox",
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


@contextmanager
def memory_replaced() -> Iterator[None]:
    """Put a new log on a server in the place of each store in memory."""
    with ExitStack() as logs, pytest.MonkeyPatch.context() as patch:

        def new_store(**_: Any) -> EventStore:
            return open_store(logs.enter_context(new_log(**_FOREVER, sslmode="disable")))

        patch.setattr("actorium.store.postgresql.PostgreSQLNodeStore", RealTimeStore)
        for name, module in list(sys.modules.items()):
            if not name.startswith(_KEEP_MEMORY) and getattr(module, "MemoryStore", None) is MEMORY:
                patch.setattr(module, "MemoryStore", new_store)
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of a module that uses a store in memory twice; the conftest.py of a folder imports this."""
    if metafunc.config.option.store is not None:
        return
    path = Path(metafunc.module.__file__ or "")
    source = path.read_text(encoding="utf-8")
    names = (path.stem, metafunc.function.__name__)
    about_one = any(metafunc.definition.iter_markers("about"))
    if not about_one and ONLY_WHEN_ASKED.isdisjoint(names) and ("memory://" in source or "MemoryStore" in source):
        stores = ["memory", "postgresql"]
        metafunc.parametrize("store_of_the_test", stores, indirect=True, ids=[f"on {store}" for store in stores])


@pytest.fixture(autouse=True)
def store_of_the_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put the store that the test runs on in the place of the one in memory."""
    with ExitStack() as stack:
        if request.config.option.store is not None:
            stack.enter_context(store_noted(request.node))
        if getattr(request, "param", request.config.option.store) == "postgresql":
            stack.enter_context(memory_replaced())
        yield


@pytest.fixture
def log_url(new_log_url: Callable[[str], str]) -> str:
    """The URL of a new log that outlives the runtime which opens it: a file, or whatever `--store` asks for."""
    return new_log_url("events")


@pytest.fixture
def new_log_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """A function that returns the URL of a log like `log_url`, for tests with several: each name is a log."""
    with _log_urls(request, tmp_path) as new_url:
        yield new_url


@pytest.fixture(scope="module")
def module_log_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a log like `log_url` that all tests of a module share."""
    with _log_urls(request, tmp_path_factory.mktemp("log")) as new_url:
        yield new_url("events")


@contextmanager
def _log_urls(request: pytest.FixtureRequest, folder: Path) -> Iterator[Callable[[str], str]]:
    with ExitStack() as logs:

        @functools.cache
        def url_of(name: str) -> str:
            if request.config.option.store == "postgresql":
                return logs.enter_context(new_log())
            return f"sqlite:///{folder}/{name}.db"

        yield url_of
