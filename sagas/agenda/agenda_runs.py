"""`AgendaRuns`: the agenda of one runtime: a single run for all sagas, or on a node, one for each share that it owns.

Invariant: on a node, a share runs only while the node owns its follower, so its checkpoint has one writer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio.abc

from actorium.runtime.errors import QueryTimeout, RuntimeClosed
from actorium.sagas.agenda.agenda import Agenda
from actorium.sagas.agenda.agenda_checkpoint import share_name
from actorium.sagas.agenda.agenda_run import AgendaFollower, AgendaParts, AgendaRun
from actorium.sagas.agenda.share_feeds import ShareFeeds
from actorium.store.tables.shares import SHARES, share_of

_LOOK_AGAIN_S = 0.1


class AgendaRuns:
    """The runs of the agenda in one runtime."""

    def __init__(self, parts: AgendaParts) -> None:
        self._parts = parts
        self._store = parts.services.store
        self._reads = reads = parts.reads
        self._end_waiters = parts.end_waiters
        self._here: dict[int, AgendaRun] = {}
        log_tail, poll_s = reads.log_reader.log_tail, parts.environment.settings.poll_s
        self._feeds = ShareFeeds(reads.patient_reader, log_tail, Agenda.event_classes, poll_s)
        self._tasks: anyio.abc.TaskGroup | None = None
        self._is_following = False
        self._whole: AgendaRun | None = None
        if reads.is_on_nodes:
            for share in range(SHARES):
                reads.place_follower(AgendaFollower(share, self._begin, self._end), share=share)
        else:
            self._whole = AgendaRun(self._parts)

    def is_here(self, saga_type: str, id: str) -> bool:
        """Return whether this runtime carries out the steps of a saga."""
        return self._whole is not None or share_of(saga_type, id) in self._here

    def open(self, tasks: anyio.abc.TaskGroup) -> None:
        """Begin to read the log for shares; `tasks` runs what follows the log."""
        self._tasks = tasks
        if self._whole is None:
            tasks.start_soon(self._feeds.run)

    # --- a single runtime -----------------------------------------------------------------------------------------

    async def carry_out(self) -> None:
        """Carry out due intents until cancelled."""
        assert self._whole is not None, "on a node, followers carry them out"
        await self._whole.carry_out()

    async def follow(self) -> None:
        """Let the agenda follow the log, and wait until it has read all recorded events; on nodes, followers do it."""
        whole = self._whole
        if whole is None:
            return
        if not self._is_following and self._tasks is not None:
            self._is_following = True
            self._reads.add(whole.agenda, whole.processor)
            self._reads.log_reader.log_tail.follow(whole.processor)
            self._tasks.start_soon(whole.processor.run)
        await whole.agenda.started.wait()

    async def save(self) -> None:
        """Write the tables."""
        assert self._whole is not None, "on a node, followers write them"
        await self._whole.agenda.save()

    # --- shares ---------------------------------------------------------------------------------------------------

    def _begin(self, share: int) -> AgendaRun:
        """Make a new run of a share, which this node has taken over."""
        self._here[share] = run = AgendaRun(self._parts, share, self._feeds.begin(share))
        self._reads.add(run.agenda, run.processor)
        self._limit()
        return run

    def _end(self, share: int, ended: AgendaRun) -> None:
        del self._here[share]
        self._feeds.end(share)
        self._reads.remove(ended.agenda)
        self._limit()
        self._end_waiters.look_again()  # from now on, another node sees its sagas end

    def _limit(self) -> None:
        for run in self._here.values():
            run.limit(len(self._here))

    # --- the tables -----------------------------------------------------------------------------------------------

    async def written(self, position: int, timeout_s: float) -> None:
        """Wait until the tables hold everything up to a position; raise QueryTimeout."""
        if self._whole is not None:
            await self._written_by(self._whole, position)
            return
        try:
            async with asyncio.timeout(timeout_s):
                for share, last in (await self._behind(position)).items():
                    await self._share_written(share, last)
        except TimeoutError:
            raise QueryTimeout(
                f"the list of sagas did not reach position {position} within {timeout_s:g} s: no node carries them "
                "out, or it is behind; ask again"
            ) from None

    async def _behind(self, position: int) -> dict[int, int]:
        """Return the shares with events up to a position that are not in the tables, each with the last of them."""
        passed = [await self._store.load_checkpoint(share_name(share)) for share in range(SHARES)]
        behind: dict[int, int] = {}
        searched = min(passed)
        while searched < position:
            found = await self._reads.patient_reader.after(searched, Agenda.event_classes)
            for one in found.events:
                share = share_of(one.stream.type, one.stream.id)
                if passed[share] < one.position <= position:
                    behind[share] = one.position
            searched = max(found.position, searched + 1)
        return behind

    async def _share_written(self, share: int, position: int) -> None:
        while True:
            run = self._here.get(share)
            if run is not None:
                with suppress(RuntimeClosed):  # it was handed over
                    await self._written_by(run, position)
                    return
            if await self._store.load_checkpoint(share_name(share)) >= position:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _written_by(self, run: AgendaRun, position: int) -> None:
        await run.processor.checkpoint.reached(position)
        await run.agenda.save()
