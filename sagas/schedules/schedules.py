"""`Schedules`: inspect, pause and run the schedules of a runtime: `runtime.schedules`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime

import msgspec

from actorium.actors.commands import Ack, checked_text
from actorium.actors.errors import NotFound
from actorium.runtime.commands.derived_ids import DerivedId, derived_id
from actorium.sagas.schedules.runner import ScheduleRunner
from actorium.sagas.schedules.schedule import Schedule
from actorium.store.events import utc_of
from actorium.store.source import Source


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule and its progress.

    next_due: the next time, in the schedule's time zone; None if it is paused, or has no further time.
    last_fired: the last time that fired; None if none has.
    paused, reason: whether an operator paused it, and why.
    error: why the last firing submitted nothing; empty if it did.
    """

    name: str
    next_due: datetime | None
    last_fired: datetime | None
    paused: bool
    reason: str
    error: str


class Schedules:
    """The schedules of a runtime, by name or by the `Schedule` itself.

    Every method raises RuntimeClosed while the runtime is not running, and NotFound for a schedule that it does not
    have.
    """

    def __init__(self, running: Callable[[], ScheduleRunner], source: Source) -> None:
        self._running = running
        self._source = source

    async def get(self, schedule: Schedule | str) -> ScheduleView:
        """Return a schedule and its progress."""
        runner = self._running()
        known = _known(runner, schedule)
        state = await runner.state(known)
        begin_us = state.done_us if state.begun else self._source.now_us()
        due = None if state.paused else known.next_after(utc_of(begin_us))
        return ScheduleView(
            name=known.name,
            next_due=due,
            last_fired=utc_of(state.fired_us).astimezone(known.zone) if state.fired_us else None,
            paused=state.paused,
            reason=state.reason,
            error=state.error,
        )

    async def list(self) -> AsyncIterator[ScheduleView]:
        """Iterate over the schedules in the order in which the runtime got them."""
        for name in self._running().schedules:
            yield await self.get(name)

    async def pause(self, schedule: Schedule | str, *, reason: str) -> bool:
        """Let a schedule fire no more, over restarts, until `resume`; return False if it was paused before.

        Commands that it has submitted, and that wait for their jitter, are still sent. Times that pass do not fire.

        reason: stored with it.
        """
        runner = self._running()
        return await runner.pause(_known(runner, schedule), checked_text(reason, "reason"))

    async def resume(self, schedule: Schedule | str, *, reason: str = "") -> bool:
        """Let a paused schedule fire again, from the next time on; return False if it was not paused."""
        runner = self._running()
        return await runner.resume(_known(runner, schedule), checked_text(reason, "reason"))

    async def run_now(self, schedule: Schedule | str) -> Ack:
        """Submit the command of a schedule once more, now; return the acknowledgement of `submit`.

        The command is the one for the current time. It does not count as a firing, and a pause does not prevent it.

        Raises the errors of `submit`, and those of the schedule's function.
        """
        runner = self._running()
        known = _known(runner, schedule)
        id = DerivedId(derived_id(f"schedule {known.name} now {self._source.new_id()}"))
        return await runner.submit(known, self._source.now_us(), id, 0)


def _known(runner: ScheduleRunner, schedule: Schedule | str) -> Schedule:
    name = schedule if isinstance(schedule, str) else schedule.name
    known = runner.schedules.get(name)
    if known is None:
        raise NotFound(f"this runtime has no schedule {name!r}: add it to Runtime([…])")
    return known
