"""`actorium drill`: a backup, restored to a temporary place and checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from actorium.application import Runtime
from actorium.backup import BackupFolder, Manifest, restore, verified
from actorium.backup.replaying import Replayed, replay_projections
from actorium.catalog import Catalog
from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.reading import log_to_read
from actorium.commands.screen import Screen
from actorium.commands.target import Target
from actorium.commands.verification.key_files import read_heads
from actorium.commands.verification.verify import HeadFiles, PublicKey, require_trusted
from actorium.copying import compare
from actorium.inspection import damaged_events, unreadable
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, Examinable
from actorium.store.urls import file_store, open_store
from actorium.store.wording import counted
from actorium.user_code.targets import load_app
from actorium.verification import LogHead, verify


def drill(
    directory: Path,
    /,
    *,
    app: Annotated[Target | None, Parameter(name="--app")] = None,
    live: str | None = None,
    heads: HeadFiles = (),
    public_key: PublicKey = None,
    json: JsonFile = None,
) -> None:
    """Restore a backup to a temporary place, and check the restored log.

    The drill verifies every file, restores all events to a temporary file, and reads every event there. With `--head`,
    the restored log must match that head. With `--app`, the projections are replayed. The exit code is 1 if anything is
    wrong.

    Parameters
    ----------
    app
        Check that this application can read every event, as `actorium check --deep` does, and replay its projections.
        Reactions, outlets and sagas do not run.
    live
        The URL of the log. Check that it holds the events of the backup and, with --app, that the replayed projections
        have the same rows. The application may be running.
    """
    screen = screen_beside(json)
    runtime = None if app is None else load_app(app)
    trusted = require_trusted(read_heads(heads), public_key)
    folder = BackupFolder(directory)
    manifest = verified(folder)
    found: list[str] = []
    replays: list[Replayed] = []
    with TemporaryDirectory(prefix="actorium-drill-") as place:
        ahead = asyncio.run(
            _drill(screen, folder, manifest, Path(place) / "restored.db", runtime, live, found, trusted, replays)
        )
    for line in found:
        screen.say(line)
    if json is not None:
        report = {"backup": str(directory), "events": manifest.end, "chain": manifest.chain, "problems": found}
        report["projections"] = replays
        write_json(report if ahead is None else {**report, "live_log_ahead": ahead}, json)
    if found:
        raise Problem(f"{counted(len(found), 'problem')} in the restored log")
    screen.say(f"{directory}: {counted(manifest.end, 'event')} restored, and every one can be read")
    if trusted:
        screen.say(f"the restored log matches the head at position {max(one.position for one in trusted):,}")
    for one in replays:
        compared = ", and its rows are those of the live log" if one.is_compared else ""
        screen.say(f"{one.projection} was replayed to position {one.position:,}{compared}")
    if ahead is not None:
        screen.say(f"the live log holds the same events, and {counted(ahead, 'more event')}")


async def _drill(
    screen: Screen,
    folder: BackupFolder,
    manifest: Manifest,
    file: Path,
    runtime: Runtime | None,
    live: str | None,
    found: list[str],
    heads: Sequence[LogHead],
    replays: list[Replayed],
) -> int | None:
    restored = file_store(file)
    await restored.open()
    try:
        with screen.progress("restoring", manifest.end) as told:
            end = (await restore(folder, manifest, restored, told)).position
    finally:
        await restored.close()
    lines = _damage(restored) if runtime is None else unreadable(restored, runtime.catalog, deep=True)
    async for line in lines:
        found.append(line)
    if heads:
        await restored.open(verified=False, read_only=True)
        try:
            found += filter(None, [(await verify(restored, heads)).describe()])
        finally:
            await restored.close()
    ahead = None if live is None else await _events_ahead(restored, live, end, found)
    if runtime is not None and not found:
        await _replay(restored, runtime.catalog, live, replays)
        found += [problem for one in replays for problem in one.problems]
    return ahead


async def _replay(restored: EventStore, catalog: Catalog, live: str | None, replays: list[Replayed]) -> None:
    await restored.open()
    try:
        if live is None:
            replays += [one async for one in replay_projections(restored, catalog)]
            return
        async with log_to_read(open_store(live)) as log:
            replays += [one async for one in replay_projections(restored, catalog, log)]
    finally:
        await restored.close()


async def _damage(restored: Examinable) -> AsyncIterator[str]:
    await restored.open(verified=False, read_only=True)
    try:
        async for error in damaged_events(restored):
            yield str(error)
        for line in await restored.damage():
            yield line
    finally:
        await restored.close()


async def _events_ahead(restored: Examinable, live: str, end: int, found: list[str]) -> int:
    """Return how many events a live log holds after those that are restored; add a line if the others differ."""
    await restored.open(read_only=True)
    try:
        async with log_to_read(open_store(live)) as log:
            ahead = (await log.head()).position - end
            try:
                await compare(restored, log, end)
            except ConfigurationError as error:
                found.append(str(error))
            return ahead
    finally:
        await restored.close()
