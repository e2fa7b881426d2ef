"""`FollowerCheck`: in each life of a process, a subscriber gets the log in order, no event twice, none too early."""

from __future__ import annotations

import asyncio
from typing import Any

from actorium.application import Runtime
from actorium.runtime.errors import RuntimeClosed
from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.errors import Transient
from actorium.store.wording import counted

_PAUSE_S = 0.2
# The number of events after which it reconnects: small near the end of the log, larger before that.
_LEAVES_EVERY = 3
_LEAVES_SELDOM = 8 * _LEAVES_EVERY
_NEAR_THE_END = 8  # events


class FollowerCheck:
    """Compares the events a subscription delivers with the events the world saw become durable."""

    def __init__(self, name: str, after: int, witness: Witness, view: View, violated: Violated) -> None:
        self.name = name
        self.position = after
        self._witness = witness
        self._view = view
        self._violated = violated
        self._rest: list[Any] = []  # the remaining events of a record that was upcast to several

    async def follow(self, runtime: Runtime) -> None:
        """Read until the runtime stops; after a failed read, continue where it stopped."""
        while True:
            try:
                if not await self._follow_a_while(runtime):
                    return
            except RuntimeClosed:
                return
            except Transient:
                self._rest = []
                await asyncio.sleep(_PAUSE_S)

    async def _follow_a_while(self, runtime: Runtime) -> bool:
        """Read until it is time to reconnect, often in the middle of a commit; return False if the runtime stopped."""
        async for recorded in runtime.events(after=self.position):
            self.take(recorded)
            if not self._rest and self._is_time_to_leave():
                return True
        return False

    def _is_time_to_leave(self) -> bool:
        is_near = self._witness.position - self.position < _NEAR_THE_END
        return self.position % (_LEAVES_EVERY if is_near else _LEAVES_SELDOM) == 0

    def take(self, recorded: Any) -> None:
        """Check one delivered event."""
        while not self._rest and self.position < self._witness.position:
            self._rest = list(self._view.recorded(self.position + 1))
            self.position += not self._rest
        if not self._rest:
            self._violated("nothing is read before it is durable", f"{self.name} at {self.position}", recorded)
        elif recorded != self._rest[0]:
            self._violated("a subscriber gets the log in order", f"{self.name}: {self._rest[0]}", recorded)
        else:
            del self._rest[0]
            self.position += not self._rest

    def left_to_do(self) -> str | None:
        """Return what has not been delivered yet, or None if everything has been."""
        behind = self._witness.position - self.position
        return f"{self.name} is {counted(behind, 'event')} behind the end of the log" if behind > 0 else None
