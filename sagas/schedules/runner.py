"""`ScheduleRunner`: submits the commands of schedules when they are due.

A firing is two steps: the submission, under an id derived from the schedule and the time, then the record that it was
done. A crash in between repeats the submission, which has no effect the second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import anyio
import anyio.abc

from actorium.actors.commands import Ack, Command
from actorium.actors.envelope import Envelope
from actorium.runtime.cluster.followers import Followers
from actorium.runtime.commands.derived_ids import DerivedId, derived_id
from actorium.runtime.component import Component
from actorium.runtime.engine import Engine
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.retry import Retry
from actorium.runtime.waits import end, ended
from actorium.sagas.saga_engine import SagaEngine
from actorium.sagas.schedules.schedule import Schedule
from actorium.sagas.schedules.stream import (
    SCHEDULE,
    BeginSchedule,
    FireSchedule,
    PauseSchedule,
    ResumeSchedule,
    ScheduleStream,
    SkipTimes,
)
from actorium.store.errors import ActoriumError, Transient
from actorium.store.events import utc_of
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

log = logger("actorium.sagas")

MISSED_MAX = 1_000
"""The most missed times of one schedule that are looked at; earlier ones are skipped."""
LATE_S = 60.0
"""With `catch_up="none"`: how many seconds late a firing may be."""
_RETRY = Retry(attempts=1, backoff_s=0.1, backoff_max_s=5.0)


class _ScheduleFollower:
    """A schedule that runs on one node at a time. Two would submit the same commands, under the same ids."""

    def __init__(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.name = f"schedule {name}"
        self.run = run

    async def mirror(self) -> None:
        """Do nothing until cancelled: how far it has come is in its stream."""
        await asyncio.Event().wait()


class ScheduleRunner(Component):
    """Runs the schedules of one runtime, each in a task of its own.

    placed: runs each on one node at a time, if the runtime is a node of a cluster.
    """

    def __init__(
        self,
        schedules: Sequence[Schedule],
        engine: Engine,
        sagas: SagaEngine,
        environment: RuntimeEnvironment,
        placed: Followers | None = None,
    ) -> None:
        self.schedules: Mapping[str, Schedule] = {schedule.name: schedule for schedule in schedules}
        self._dispatcher = engine.dispatcher
        self._handlers = engine.kinds[ScheduleStream].definition.handlers
        self._sagas = sagas
        self._source = environment.source
        self._timeout_s = environment.settings.default_timeout_s
        self._tick_s = environment.settings.poll_s  # the wall clock may jump, so it is read at least this often
        self._woken: dict[str, asyncio.Future[bool]] = {}
        self._is_placed = placed is not None
        if placed is not None:
            for schedule in schedules:
                placed.add(_ScheduleFollower(schedule.name, partial(self._run, schedule)))

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start following the schedules."""
        if not self._is_placed:
            for schedule in self.schedules.values():
                tasks.start_soon(self._run, schedule)

    async def state(self, schedule: Schedule) -> ScheduleStream:
        """Return how far a schedule has come."""
        state: ScheduleStream = await self._dispatcher.read(SCHEDULE, schedule.name, self._timeout_s)
        return state

    async def pause(self, schedule: Schedule, reason: str) -> bool:
        """Let a schedule not fire until `resume`; return False if it was paused before."""
        return bool((await self._ask(PauseSchedule(schedule.name, reason))).events)

    async def resume(self, schedule: Schedule, reason: str) -> bool:
        """Let a schedule fire again, from now on; return False if it was not paused."""
        done = bool((await self._ask(ResumeSchedule(schedule.name, self._source.now_us(), reason))).events)
        end(self._woken.get(schedule.name))
        return done

    async def submit(self, schedule: Schedule, due_us: int, command_id: str, at_us: int) -> Ack:
        """Submit the command of a schedule for a time."""
        command = schedule.command(utc_of(due_us).astimezone(schedule.zone))
        envelope = self._dispatcher.envelope(command, command_id, None, "", "", None, self._timeout_s)
        return await self._sagas.submit(envelope, at_us)

    async def _run(self, schedule: Schedule) -> None:
        attempt = 0
        while True:
            try:
                await self._follow(schedule)
            except RuntimeClosed:
                return
            except Transient as error:
                attempt += 1
                log.warning("schedule_waits", schedule=schedule.name, attempt=attempt, error=error_text(error))
                await asyncio.sleep(_RETRY.wait_s(attempt, self._source))

    async def _follow(self, schedule: Schedule) -> None:
        await self._ask(BeginSchedule(schedule.name, self._source.now_us()))
        while True:
            state = await self.state(schedule)
            due = None if state.paused else schedule.next_after(utc_of(state.done_us))
            now_us = self._source.now_us()
            if due is None or _us(due) > now_us:
                wait_s = self._tick_s
                if due is not None:  # a timer may fire a little early: not for less than a millisecond
                    wait_s = min(wait_s, max(0.001, (_us(due) - now_us) / 1_000_000))
                await self._wait(schedule, wait_s)
                continue
            await self._catch_up(schedule, due, now_us)

    async def _catch_up(self, schedule: Schedule, due: datetime, now_us: int) -> None:
        """FireSchedule or skip the times that are due."""
        missed = [_us(due)]
        skipped = 0
        while (following := schedule.next_after(utc_of(missed[-1]))) is not None and _us(following) <= now_us:
            missed.append(_us(following))
            if len(missed) > MISSED_MAX:
                del missed[0]
                skipped += 1
        if schedule.catch_up == "latest":
            skipped += len(missed) - 1
            missed = missed[-1:]
        elif schedule.catch_up == "none":
            in_time = [due_us for due_us in missed if due_us >= now_us - LATE_S * 1_000_000]
            skipped += len(missed) - len(in_time)
            if not in_time:
                log.warning("schedule_skipped", schedule=schedule.name, times=skipped)
                await self._ask(SkipTimes(schedule.name, missed[-1], skipped))
                return
            missed = in_time
        if skipped:
            log.warning("schedule_skipped", schedule=schedule.name, times=skipped)
        for due_us in missed:
            await self._fire(schedule, due_us, skipped)
            skipped = 0

    async def _fire(self, schedule: Schedule, due_us: int, skipped: int) -> None:
        error = ""
        command_id = DerivedId(derived_id(f"schedule {schedule.name} {due_us}"))
        try:
            await self.submit(schedule, due_us, command_id, due_us + schedule.jitter_us(due_us))
        except Transient:
            raise
        except BaseException as raised:
            let_through(raised)
            error = error_text(raised)
            bug = None if isinstance(raised, ActoriumError) else raised
            log.error("schedule_failed", schedule=schedule.name, due=str(utc_of(due_us)), error=error, traceback=bug)
        await self._ask(FireSchedule(schedule.name, due_us, skipped, error))

    async def _wait(self, schedule: Schedule, wait_s: float) -> None:
        woken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._woken[schedule.name] = woken
        await ended(woken, wait_s)

    async def _ask(self, command: Command) -> Ack:
        identity: dict[str, Any] = {"command_id": self._source.new_id(), "timeout_s": self._timeout_s}
        return await self._dispatcher.ask(
            Envelope(SCHEDULE, command.to, command, self._handlers[type(command)], **identity)
        )


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
