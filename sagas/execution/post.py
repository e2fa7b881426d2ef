"""`Post`: an envelope into its actor's mailbox at once, and its answer to whoever takes it: no task waits.

Where there is no room, or somebody waits for it, nothing is posted: who wants to wait in line does so with
`Dispatcher.ask`, in a task. An envelope that is posted is always answered, so nothing here has a timeout.

Invariant: while an answer is there that nobody took, `_hand_over` is on its way; answers are taken in their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from actorium.actors.actor import Actor
from actorium.actors.commands import Envelope
from actorium.actors.kind import ActorKind
from actorium.runtime.commands.admission import Admission


class Answer(asyncio.Future[Any]):
    """The future of one answer, handed over with the others that a commit brings: a callback for each costs more.

    `Post` sets its fields: an `__init__` would double what it costs to make. `about` is what `take` wants to know of
    it: a partial function in its place would be three objects more that the garbage collector has to see.
    """

    __slots__ = ("about", "post", "take")

    about: Any
    post: Post
    take: Take

    def set_result(self, result: Any, /) -> None:
        """Have the answer handed over."""
        _set_result(self, result)
        self.post.hand_over_soon(self)

    def set_exception(self, error: type | BaseException, /) -> None:
        """Have the error handed over."""
        super().set_exception(error)
        self.post.hand_over_soon(self)


Take = Callable[[Answer], None]
"""Is called with an answer that has come, be it an error; not with one that was cancelled before."""

_set_result: Callable[[asyncio.Future[Any], Any], None] = asyncio.Future.set_result  # `super()` takes longer


class Post:
    """Gives envelopes to actors that have room for them."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._there: deque[Answer] = deque()

    def offer(self, kind: ActorKind[Actor], envelope: Envelope, take: Take, about: Any = None) -> Answer | None:
        """Deliver an envelope, have its answer taken, and return its future; None where there is no room.

        Raises what a failed actor refuses its mail with.
        """
        admission = self._admission
        # `has_room` and `somebody_waits_for_a_mailbox`, written out: each command and report of a saga comes by here.
        if admission.in_flight >= admission.limit or admission.queue or admission.mailbox_queues:
            return None
        envelope.future = answer = Answer(loop=self._loop)
        answer.about = about
        answer.take = take
        answer.post = self
        if admission.deliver(kind, envelope) is not None:
            envelope.future = None
            return None
        return answer

    def hand_over_soon(self, answer: Answer) -> None:
        """Have an answer that is there taken, in the next round of the loop."""
        if not self._there:
            self._loop.call_soon(self._hand_over)
        self._there.append(answer)

    def _hand_over(self) -> None:
        there = self._there
        try:
            while there:
                answer = there.popleft()
                answer.take(answer)
        finally:
            if there:  # one of them raised, which the loop reports; the others are not held up by it
                self._loop.call_soon(self._hand_over)
