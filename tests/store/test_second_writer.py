"""Another program that writes the same log: it is detected at its first event, and only then a warning is logged."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from actorium.store.sqlite import SQLiteStore, journal
from actorium.testing.contract_words import ALICE, BOB, append, commit

EVENT_OF_ANOTHER = (
    "INSERT INTO events SELECT position + 1, stream, version + 1, type, payload, metadata, recorded_us, checksum, "
    "NULL, NULL, NULL FROM events ORDER BY position DESC LIMIT 1"
)


@pytest.mark.parametrize(("mended", "is_advised"), [((99, 0, 0), True), ((3, 0, 0), False)])
@pytest.mark.asyncio
async def test_a_second_writer_causes_a_warning(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    mended: tuple[int, int, int],
    is_advised: bool,
) -> None:
    monkeypatch.setattr(journal, "_WAL_RESET_MENDED", mended)
    store = SQLiteStore(tmp_path / "log.db")
    await store.open()
    assert await commit(store, append(ALICE, 0)) == [1]
    assert "sqlite" not in capsys.readouterr().out.lower()
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute(EVENT_OF_ANOTHER)
    assert await commit(store, append(BOB, 0)) == [3]
    told = capsys.readouterr().out
    assert "store.second_writer" in told
    assert (f"SQLite {sqlite3.sqlite_version} can corrupt it" in told) is is_advised
    await store.close()
