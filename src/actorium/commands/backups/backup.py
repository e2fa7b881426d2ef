"""`actorium backup`: what is new in a log, added to its backup."""

from __future__ import annotations

import asyncio
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from actorium.backup import BackupFolder, Manifest, back_up
from actorium.backup.folder import MANIFEST
from actorium.commands.json_report import STANDARD_STREAM
from actorium.commands.problem import Interrupted, Problem
from actorium.commands.reading import log_to_read
from actorium.commands.screen import Screen
from actorium.commands.streams import standard_output
from actorium.store.errors import ActoriumError
from actorium.store.event_store import EventStore
from actorium.store.urls import open_store
from actorium.store.wording import counted


def backup(source: str, directory: Annotated[Path, Parameter(allow_leading_hyphen=True)], /) -> None:
    """Bring the backup of a log up to date, while its application runs.

    The first backup holds the whole log up to the end that it has when the command starts. Each later one adds the
    events that are new. The log is opened read-only. If the command is interrupted, the backup remains usable; run the
    command again, and it continues.

    Parameters
    ----------
    source
        The URL of the log, such as sqlite:///bank.db.
    directory
        The directory of the backup. It is created if there is none. With -, a backup of the whole log goes to standard
        output as a tar archive of such a directory.
    """
    if directory == STANDARD_STREAM:
        _to_standard_output(source)
        return
    screen, folder = Screen(), BackupFolder(directory)
    store = open_store(source)
    try:
        before, manifest = asyncio.run(_back_up(screen, store, folder))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {_what_is_there(folder)}; run the command again to continue") from None
    except OSError as error:
        raise Problem(f"cannot write to {directory}: {error.strerror or error}; {_what_is_there(folder)}") from None
    screen.say(
        f"{counted(manifest.end - before, 'new event')} of {store.describe()}; "
        f"{directory} holds {counted(manifest.end, 'event')}"
    )


def _to_standard_output(source: str) -> None:
    screen = Screen(aside=True)
    with TemporaryDirectory(prefix="actorium-backup-") as place, standard_output("the backup") as out:
        folder = BackupFolder(place)
        _, manifest = asyncio.run(_back_up(screen, open_store(source), folder))
        with tarfile.open(fileobj=out, mode="w|") as archive:
            # The manifest comes last, so an archive that was cut off is no backup.
            for file in [*(segment.file for segment in manifest.segments), MANIFEST]:
                archive.add(folder.path / file, file)
    screen.say(f"{counted(manifest.end, 'event')} backed up")


async def _back_up(screen: Screen, store: EventStore, folder: BackupFolder) -> tuple[int, Manifest]:
    async with log_to_read(store):
        manifest = folder.read_or_begin()
        before = 0 if manifest is None else manifest.end
        with screen.progress("backing up", (await store.head()).position - before) as told:
            return before, await back_up(store, folder, lambda position: told(position - before))


def _what_is_there(folder: BackupFolder) -> str:
    try:
        return f"the backup holds {counted(folder.read().end, 'event')}"
    except (ActoriumError, OSError):
        return "there is no backup yet"
