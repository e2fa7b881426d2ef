"""`Post`: an envelope into its actor's mailbox at once, its answer a future to hang a callback on: no task waits.

Where there is no room, or somebody waits for it, nothing is posted: who wants to wait in line does so with
`Dispatcher.ask`, in a task. An envelope that is posted is always answered, so nothing here has a timeout.
"""

from __future__ import annotations

import asyncio
from typing import Any

from actorium.actors.commands import Envelope
from actorium.actors.kind import ActorKind
from actorium.runtime.flow import Flow


class Post:
    """Gives envelopes to actors that have room for them."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._loop = asyncio.get_running_loop()

    def offer(self, kind: ActorKind, envelope: Envelope) -> asyncio.Future[Any] | None:
        """Deliver an envelope and return the future of its answer; None where there is no room.

        Raises what a failed actor refuses its mail with.
        """
        flow = self._flow
        if not flow.has_room or flow.somebody_waits_for_a_mailbox:
            return None
        envelope.future = answer = self._loop.create_future()
        if flow.deliver(kind, envelope) is not None:
            envelope.future = None
            return None
        return answer
