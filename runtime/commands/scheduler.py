"""`Scheduler`: gives actors with mail their turns, one after the other.

Invariants: an actor on the ready queue is READY; at most one callback of the loop is scheduled, exactly when the queue
holds somebody. No task per actor, no task per command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from actorium.actors.actor import Actor
from actorium.runtime.commands.admission import Admission
from actorium.store.raised import let_through

# Commands decided in one callback of the loop, over all actors: some ten milliseconds of work, then others have the
# loop (sockets, timers, the application's own tasks).
COMMANDS_PER_CALLBACK = 1_024


class Scheduler:
    """The ready queue, and the callback that empties it in fair turns."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admission: Admission,
        crashed: Callable[[BaseException], None],
        *,
        turn_budget: int,
    ) -> None:
        self._loop = loop
        self._admission = admission
        self._crashed = crashed
        self._budget = turn_budget
        self._ready: deque[Actor] = deque()
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._ready)

    def make_ready(self, actor: Actor) -> None:
        """Put a READY actor at the end of the queue."""
        self._ready.append(actor)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        try:
            self._take_turns()
        except BaseException as error:  # a bug of the runtime itself, or Ctrl-C: it ends loudly, it does not stall
            self._crashed(error)
            let_through(error)

    def _take_turns(self) -> None:
        ready = self._ready
        admission = self._admission
        left = COMMANDS_PER_CALLBACK
        # Actors that become ready again during this callback have their turn after those that waited before them.
        while ready and left > 0:
            actor = ready.popleft()
            taken = actor.turn(self._budget)
            left -= taken or 1
            if admission.mailbox_queues:
                admission.mail_taken(actor)
        if ready:
            self._loop.call_soon(self._run)
        else:
            self._scheduled = False
