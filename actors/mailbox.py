"""`Mailbox`: an actor's bounded input."""

from __future__ import annotations

from collections import deque

from actorium.actors.commands import Envelope


class Mailbox(deque[Envelope]):
    """The envelopes that wait for one actor, oldest first.

    A mailbox exists only while it holds mail: an idle actor has none. Its bound is the runtime's `mailbox_limit`, which
    `Actor.is_full` holds, counting what is decided but not committed too; the actor alone may put envelopes back beyond
    it, those whose decisions a failed append undid.
    """

    __slots__ = ()

    def put_back(self, envelopes: list[Envelope]) -> None:
        """Put envelopes back in front of the others, in their order."""
        self.extendleft(reversed(envelopes))
