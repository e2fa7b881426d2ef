"""Stores that tools can inspect from outside."""

from pathlib import Path

import pytest

from actorium.store.event_store import Examinable
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore
from actorium.store.urls import file_store
from actorium.testing.contract_words import ALICE, append, commit


def test_a_log_in_a_file_is_examinable_and_one_in_memory_is_not(tmp_path: Path) -> None:
    assert isinstance(SQLiteStore(tmp_path / "log.db"), Examinable)
    assert not isinstance(MemoryStore(), Examinable)


@pytest.mark.asyncio
async def test_a_file_is_examined_and_repaired_as_a_store(tmp_path: Path) -> None:
    store = file_store(tmp_path / "log.db")
    assert not await store.exists()
    await store.open()
    assert await store.exists()
    await commit(store, append(ALICE, 0, 2))
    await store.close()
    assert await store.repair() == []
    await store.open(verified=False, read_only=True)
    try:
        assert await store.damage() == []
        assert (await store.head()).position == 2
    finally:
        await store.close()
