"""`LiveActors`: every actor in memory, with a clock hand that passivates idle ones.

Invariants: an actor that has mail or an append in flight is in its kind's `live` table; each actor in such a table is
once in the round of the clock hand; only this module changes the tables.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Collection, Iterator

from actorium.actors.actor import Actor
from actorium.actors.kind import ActorKind
from actorium.actors.passivation import Passivation
from actorium.actors.status import Status

# A round of passivation begins after this part of the idle time, or after the maximum.
_SWEEPS_PER_IDLE_TIME = 4
_SWEEP_EVERY_S_MAX = 60.0
_SWEEP_STEP_PAUSE_S = 0.01
# Actors checked per step, so that a sweep over a million actors does not block the loop.
_SWEEP_STEP = 2_000
# Actors checked for each one created over the limit: enough to find an idle one, but bounded.
_SEARCH_STEPS = 8
_IDLE = Status.IDLE


class LiveActors:
    """The actors in memory."""

    def __init__(self, passivation: Passivation, forgotten: Callable[[Actor], None]) -> None:
        self._policy = passivation
        self._forgotten = forgotten
        self._max_live = math.inf if passivation.max_live is None else passivation.max_live
        self._round: deque[Actor] = deque()
        self._swept = 0
        self.passivations = 0

    def __len__(self) -> int:
        return len(self._round)

    def __iter__(self) -> Iterator[Actor]:
        return iter(list(self._round))

    def create(self, kind: ActorKind[Actor], id: str, now: float) -> Actor:
        """Add a cold actor; over the limit, passivate idle actors to make room."""
        actor = Actor(kind, id)
        actor.used_at = -now  # its first command alone does not earn it a second chance
        kind.live[id] = actor
        round_ = self._round
        round_.append(actor)
        if len(round_) > self._max_live:
            self._make_room(actor)
        return actor

    async def run(self) -> None:
        """Passivate idle actors, a few at a time, until cancelled."""
        idle_s = self._policy.idle_s
        if idle_s is None:
            return
        pause_s = min(idle_s / _SWEEPS_PER_IDLE_TIME, _SWEEP_EVERY_S_MAX)
        loop = asyncio.get_running_loop()
        while True:
            round_is_over = self._sweep_step(loop.time())
            await asyncio.sleep(pause_s if round_is_over else min(pause_s, _SWEEP_STEP_PAUSE_S))

    def _sweep_step(self, now: float) -> bool:
        """Passivate idle actors among the next few; return whether a whole round is over."""
        idle_s = self._policy.idle_s
        if idle_s is None:
            return True
        for _ in range(min(_SWEEP_STEP, len(self._round))):
            actor = self._round[0]
            if now - abs(actor.used_at) < idle_s or not actor.is_idle:
                self._round.rotate(-1)
            else:
                self._forget(self._round.popleft())
        self._swept += _SWEEP_STEP
        if self._swept < len(self._round):
            return False
        self._swept = 0
        return True

    def _make_room(self, newcomer: Actor) -> None:
        round_ = self._round
        for _ in range(_SEARCH_STEPS):
            actor = round_.popleft()
            if actor.used_at > 0:
                actor.used_at = -actor.used_at
                round_.append(actor)
            # The new actor has no mail yet, but is about to get some. `is_idle` is inlined for an IDLE one: hot path.
            elif actor is not newcomer and (actor.pending is None if actor.status is _IDLE else actor.is_idle):
                self._forget(actor)
                if len(round_) <= self._max_live:
                    return
            else:
                round_.append(actor)

    def drop(self, actors: Collection[Actor]) -> None:
        """Drop idle actors, because their streams now belong to another node."""
        gone = set(map(id, actors))
        if not gone:
            return
        self._round = deque(actor for actor in self._round if id(actor) not in gone)
        for actor in actors:
            actor.passivate()
            self._forget(actor)

    def _forget(self, actor: Actor) -> None:
        del actor.kind.live[actor.id]
        self.passivations += 1
        self._forgotten(actor)
