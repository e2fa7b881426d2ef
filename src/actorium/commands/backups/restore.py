"""`actorium restore`: a log from its backup."""

from __future__ import annotations

import asyncio
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from actorium.backup import BackupFolder, Manifest, Restored, verified
from actorium.backup import restore as restore_log
from actorium.commands.json_report import STANDARD_STREAM
from actorium.commands.problem import Interrupted, Problem, WrongUse
from actorium.commands.screen import Screen
from actorium.store.event_store import EventStore, Examinable
from actorium.store.urls import open_store
from actorium.store.wording import counted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def restore(
    directory: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    target: str,
    /,
    *,
    to_position: int | None = None,
    to_time: datetime | None = None,
) -> None:
    """Restore a log from a backup, whole or up to a position or a time.

    Every file of the backup is verified first. Events keep their positions, times and command ids. The application
    rebuilds its projections when it starts. Reactions and outlets continue where they were when the backup was taken.

    Parameters
    ----------
    directory
        The directory of the backup. With -, a backup that `actorium backup … -` wrote is read from standard input.
    target
        The URL of the new log, such as sqlite:///restored.db. It must be empty.
    to_position
        Restore no event after this position. A command of which it would take only a part is left out.
    to_time
        Restore no event recorded after this time, such as 2026-11-30T17:00:00+01:00. Without an offset it is UTC.
    """
    if to_position is not None and to_time is not None:
        raise WrongUse("--to-position and --to-time cannot be combined: give one of them")
    screen, store = Screen(), open_store(target)
    to_time_us = None if to_time is None else _microseconds(to_time)
    try:
        with _opened(directory) as folder:
            manifest = verified(folder, to_position)
            restored = asyncio.run(_restore(screen, folder, manifest, store, to_position, to_time_us))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {store.describe()} is incomplete; remove it before the next try") from None
    screen.say(f"{counted(restored.position, 'event')} restored: {store.describe()}")
    for name in restored.ahead:
        screen.note(f"{name} had read further: what it did outside the log after position {restored.position} remains")


@contextmanager
def _opened(directory: Path) -> Iterator[BackupFolder]:
    if directory != STANDARD_STREAM:
        yield BackupFolder(directory)
        return
    with TemporaryDirectory(prefix="actorium-backup-") as place:
        try:
            with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
                archive.extractall(place, filter="data")
        except (tarfile.TarError, EOFError) as error:
            raise Problem(f"standard input is not a backup, or is cut off: {error}") from error
        yield BackupFolder(place)


async def _restore(
    screen: Screen,
    folder: BackupFolder,
    manifest: Manifest,
    store: EventStore,
    to_position: int | None,
    to_time_us: int | None,
) -> Restored:
    if not isinstance(store, Examinable):
        raise WrongUse(f"nothing would be left of the restored log: {store.describe()}")
    await store.open()
    try:
        with screen.progress("restoring", manifest.end if to_position is None else to_position) as told:
            return await restore_log(folder, manifest, store, told, to_position=to_position, to_time_us=to_time_us)
    finally:
        await store.close()


def _microseconds(time: datetime) -> int:
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
