"""Takes a backup of a log while its application runs: only what is new since the last backup."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from actorium.backup.folder import BackupFolder
from actorium.backup.followers import read_followers
from actorium.backup.manifest import Manifest, Segment, chained
from actorium.backup.segments import SegmentWriter, event_hash
from actorium.copying import read_appends
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore

SEGMENT_EVENTS = 100_000
"""A segment ends after so many events, at the end of a command."""
SEGMENT_BYTES = 268_435_456
"""A segment ends after so many bytes before compression, at the end of a command."""


async def back_up(store: EventStore, folder: BackupFolder, told: Callable[[int], None]) -> Manifest:
    """Bring the backup in a directory up to the end that the log has now; return its manifest.

    store: open, read-only if an application has it open too. Its own tables are read with SQL.
    told: called with the position reached, after each page of events.

    Each segment is in the backup as soon as it is complete. An interrupted backup continues after the last one.

    Raises:
        ConfigurationError: the directory holds something else, or the backup of another log.
        DamagedLog: the manifest of the backup is damaged, or an event of the log is.
        StoreInUse: another process writes to the same backup.
        OSError: the disk is full or does not accept the files.
    """
    manifest = folder.read_or_begin()
    with folder.locked():
        manifest = folder.read_or_begin() or Manifest(store.describe())
        folder.name_segments(manifest)
        await _require_same_log(store, folder, manifest)
        followers = await read_followers(store)
        head = (await store.head()).position
        manifest = msgspec.structs.replace(
            manifest, head=head, checkpoints=followers.checkpoints, dead_letters=followers.dead_letters
        )
        while manifest.end < head:
            segment = await _write_segment(store, folder, manifest, told)
            [last] = await store.read_log(segment.last - 1, 1)
            manifest = msgspec.structs.replace(
                manifest, segments=(*manifest.segments, segment), last_event=event_hash(last)
            )
            folder.replace_manifest(manifest)
        folder.replace_manifest(manifest)
    return manifest


async def _require_same_log(store: EventStore, folder: BackupFolder, manifest: Manifest) -> None:
    end = manifest.end
    if end == 0:
        return
    found = await store.read_log(end - 1, 1)
    if not found or event_hash(found[0]) != manifest.last_event:
        why = "holds another event there" if found else "ends before that"
        raise ConfigurationError(
            f"the backup in {folder.path} is of another log, or of a later state of this one: it ends at position "
            f"{end}, and {store.describe()} {why}"
        )


async def _write_segment(
    store: EventStore, folder: BackupFolder, manifest: Manifest, told: Callable[[int], None]
) -> Segment:
    first = manifest.end + 1
    name = f"events-{first:012d}.jsonl.gz"
    writer = SegmentWriter(folder.part_path(name))
    try:
        last = await _fill(writer, store, manifest, told)
        file_sha256 = writer.finish()
    except BaseException:
        writer.discard()
        raise
    return Segment(name, first, last, file_sha256, chained(manifest.chain, first, last, file_sha256))


async def _fill(writer: SegmentWriter, store: EventStore, manifest: Manifest, told: Callable[[int], None]) -> int:
    """Write the events that follow a backup's end, until the segment is full; return the position of the last one."""
    position = manifest.end
    async for appends in read_appends(store, position, manifest.head):
        for recorded in appends:
            writer.write(position + 1, recorded)
            position += len(recorded.append.events)
            if position - manifest.end >= SEGMENT_EVENTS or writer.size_bytes >= SEGMENT_BYTES:
                return position
        told(position)
    return position
