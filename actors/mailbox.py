"""`Mailbox`: an actor's bounded input."""

from __future__ import annotations

from actorium.actors.envelope import Envelope

Mailbox = list[Envelope]
"""The envelopes that wait for one actor, oldest first.

A mailbox exists only while it holds mail: an idle actor has none. It is a list, because most hold one envelope, and a
deque costs more to make than all that it is used for. Its bound is the runtime's `mailbox_limit`, which `Actor.is_full`
holds, counting what is decided but not committed too; the actor alone may put envelopes back beyond it, those whose
decisions a failed append undid.
"""
