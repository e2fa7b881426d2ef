"""What the tests of the PostgreSQL store have."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from support.postgres import new_log

from actorium.store.postgresql import PostgreSQLStore
from actorium.store.urls import open_store


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a new log."""
    with new_log() as found:
        yield found


@pytest_asyncio.fixture
async def opened(url: str) -> AsyncIterator[PostgreSQLStore]:
    """An open store on a new log."""
    store = open_store(url)
    assert isinstance(store, PostgreSQLStore)
    await store.open()
    yield store
    await store.close()
