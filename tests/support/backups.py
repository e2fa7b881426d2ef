"""Logs to back up, and the comparison of a restored log with the one it comes from."""

from pathlib import Path

from support.stores import whole_log

from actorium.backup import BackupFolder, Manifest, Restored, back_up, restore, verified
from actorium.store.codec import decode_metadata
from actorium.store.event_store import Append, AppendBatch, CommandMark, Examinable
from actorium.store.events import EncodedEvent, Metadata, as_json
from actorium.store.names import StreamName
from actorium.store.urls import open_store


def quiet(position: int) -> None:
    """Hear how far something is."""


def reader(url: str) -> Examinable:
    """Return the store of a URL, to be opened read-only."""
    store = open_store(url)
    assert isinstance(store, Examinable)
    return store


async def fill(url: str, first: int, commands: int, events: int = 3) -> None:
    """Append commands to a log, each with this many events to a stream of its own; 100 commands are a commit."""
    store = open_store(url)
    await store.open()
    try:
        for start in range(first, first + commands, 100):
            numbers = range(start, min(start + 100, first + commands))
            await store.append(AppendBatch(1_000_000 * start, [_command(number, events) for number in numbers]))
    finally:
        await store.close()


def _command(number: int, events: int) -> Append:
    id = f"c{number}"
    encoded = tuple(
        EncodedEvent("Counted", 1, b'{"n":%d,"text":"\xc3\xa9 \\n"}' % n, as_json(Metadata(command_id=id)))
        for n in range(events)
    )
    return Append(StreamName("Counter", id), 0, encoded, CommandMark(id, number - 7))


async def take(url: str, folder: BackupFolder) -> Manifest:
    """Back up a log, read-only."""
    store = reader(url)
    await store.open(read_only=True)
    try:
        return await back_up(store, folder, quiet)
    finally:
        await store.close()


async def bring_back(
    folder: BackupFolder, url: str, *, to_position: int | None = None, to_time_us: int | None = None
) -> Restored:
    """Restore a backup to a new log."""
    manifest = verified(folder, to_position)
    store = open_store(url)
    await store.open()
    try:
        return await restore(folder, manifest, store, quiet, to_position=to_position, to_time_us=to_time_us)
    finally:
        await store.close()


async def require_same_start(log: str, restored: str, end: int) -> None:
    """Assert that a restored log ends at a position and is the same as another log up to there, commands included."""
    one, two = reader(log), reader(restored)
    await one.open(read_only=True)
    await two.open(read_only=True)
    try:
        events = await whole_log(two)
        assert len(events) == end
        assert events == (await whole_log(one))[:end]
        ids = sorted({decode_metadata(record.metadata).command_id for record in events} - {""})
        assert await two.find_commands(ids) == await one.find_commands(ids)
        assert await two.damage() == []
    finally:
        await one.close()
        await two.close()


async def restored_start(folder: Path, log: str, url: str) -> int:
    """Restore a directory to a new log, and compare that with the old one; return where it ends."""
    end = (await bring_back(BackupFolder(folder), url)).position
    await require_same_start(log, url, end)
    return end
