"""Restores a log from a backup, whole or up to a position or a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from actorium.backup.folder import BackupFolder
from actorium.backup.followers import followers_at
from actorium.backup.manifest import Manifest
from actorium.backup.segments import read_segment
from actorium.copying import DatedAppend, write_appends
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore

_PAGE_EVENTS = 1_000


class Restored(msgspec.Struct, frozen=True):
    """The result of a restore.

    position: the last event of the restored log.
    ahead: the followers that had read further: what they did outside the log for later events remains.
    """

    position: int
    ahead: list[str]


def verified(folder: BackupFolder, to_position: int | None = None) -> Manifest:
    """Verify every file of a backup; return its manifest.

    to_position: a position up to which the backup is to be restored.

    Raises:
        ConfigurationError: there is no backup, or the position is beyond its end.
        DamagedLog: the backup is damaged.
    """
    manifest = folder.read()
    if to_position is not None and not 0 <= to_position <= manifest.end:
        raise ConfigurationError(
            f"position {to_position} is not in the backup in {folder.path}, which ends at {manifest.end}"
        )
    folder.verify(manifest)
    return manifest


async def restore(
    folder: BackupFolder,
    manifest: Manifest,
    target: EventStore,
    told: Callable[[int], None],
    *,
    to_position: int | None = None,
    to_time_us: int | None = None,
) -> Restored:
    """Write the events of a backup to an empty log, with their positions, times, metadata and command ids.

    A command's events are restored together or not at all.

    manifest: from `verified`.
    target: open, and empty.
    told: called with the position reached, after each page of events.
    to_position: restore no later event; None means all.
    to_time_us: restore no event recorded after this time, in microseconds since the epoch; None means all.

    Raises:
        ConfigurationError: the log is not empty.
        DamagedLog: a file does not hold what the manifest says.
    """
    if (await target.head()).position:
        raise ConfigurationError(f"{target.describe()} is not empty: name a new log for the restore")
    end = manifest.end if to_position is None else to_position
    position = 0
    for appends in _pages(folder, manifest, end, to_time_us):
        position = await write_appends(target, position, appends)
        told(position)
    followers = followers_at(manifest, position)
    if followers.saves:
        await target.save(followers.saves)
    return Restored(position, followers.ahead)


def _pages(folder: BackupFolder, manifest: Manifest, end: int, to_time_us: int | None) -> Iterator[list[DatedAppend]]:
    page: list[DatedAppend] = []
    position = size = 0
    for segment in manifest.segments:
        for recorded in read_segment(folder.segment_path(segment), segment.first - 1, segment.last):
            count = len(recorded.append.events)
            if position + count > end or (to_time_us is not None and recorded.recorded_us > to_time_us):
                yield from filter(None, [page])
                return
            page.append(recorded)
            position, size = position + count, size + count
            if size >= _PAGE_EVENTS:
                yield page
                page, size = [], 0
    yield from filter(None, [page])
