"""`Scheduler`: gives actors with mail their turns, one after the other.

Invariants: an actor in the ready queue that is not READY when its turn comes keeps its mail, because it is recovering
and will be ready again; one loop callback is scheduled while the queue is not empty, and none otherwise. There is no
task per actor and none per command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from actorium.actors.actor import Actor
from actorium.runtime.commands.admission import Admission
from actorium.store.raised import let_through

# Commands decided in one loop callback, over all actors: about ten milliseconds of work, then the loop serves others
# (sockets, timers, the application's own tasks).
COMMANDS_PER_CALLBACK = 1_024


class Scheduler:
    """The callback that empties the ready queue in fair turns.

    ready: the queue; whoever finds it empty calls `make_ready`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admission: Admission,
        crashed: Callable[[BaseException], None],
        ready: deque[Actor],
        *,
        turn_budget: int,
    ) -> None:
        self._loop = loop
        self._admission = admission
        self._crashed = crashed
        self._budget = turn_budget
        self._ready = ready
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._ready)

    def make_ready(self, actor: Actor) -> None:
        """Put an actor at the end of the queue; it is READY before the loop's next iteration."""
        if not self._scheduled:
            self._loop.call_soon(self._run)  # first: it may raise, for a sender whose stack is full
            self._scheduled = True
        self._ready.append(actor)

    def turn_now(self, actor: Actor) -> None:
        """Give a READY actor its turn immediately, within the call that delivered its mail."""
        try:
            actor.turn(self._budget)
        except BaseException as error:
            self._crashed(error)
            let_through(error)

    def _run(self) -> None:
        try:
            self._take_turns()
        except BaseException as error:  # a bug in the runtime, or Ctrl-C: end with the error, do not stall
            self._crashed(error)
            let_through(error)

    def _take_turns(self) -> None:
        ready = self._ready
        admission = self._admission
        left = COMMANDS_PER_CALLBACK
        # Actors that become ready again during this callback run after those that were already waiting.
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
