"""`Mailbox`: an actor's bounded input."""

from __future__ import annotations

from actorium.actors.envelope import Envelope

Mailbox = list[Envelope]
"""The envelopes that wait for one actor, oldest first.

A mailbox exists only while it holds envelopes; an idle actor has none. It is a list, because most hold one envelope,
and creating a deque costs more than all its later use. The limit is the runtime's `mailbox_limit`. `Actor.is_full`
enforces it and also counts commands that are decided but not committed. Only the actor may exceed it, to put back
envelopes whose decisions a failed append undid.
"""
