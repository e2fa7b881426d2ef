"""`FrameSenders`: gathers the messages for each other node into frames, and sends them over the wire."""

from __future__ import annotations

import asyncio

import anyio
import anyio.abc

from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.wire import Wire
from actorium.runtime.messages.gathering import FrameSender
from actorium.runtime.waits import end


class FrameSenders:
    """The senders of one node, one for each node that it sends to.

    frame_bytes_max: the largest frame.
    """

    def __init__(self, directory: Directory, wire: Wire, *, frame_bytes_max: int) -> None:
        self._directory = directory
        self._wire = wire
        self._frame_bytes_max = frame_bytes_max
        self._senders: dict[int, FrameSender] = {}
        self._changed: asyncio.Future[bool] | None = None

    def send(self, node: int, message: bytes) -> None:
        """Add an encoded message to the next frame for a node."""
        sender = self._senders.get(node)
        if sender is None:

            async def send(frame: bytes) -> None:
                await self._wire.send(node, frame)

            limits = {"max_bytes": self._frame_bytes_max, "gathered_bytes": self._wire.frame_bytes}
            sender = self._senders[node] = FrameSender(str(self._directory.me), send, **limits)
            end(self._changed)
        sender.add(message)

    async def sent(self) -> None:
        """Return when everything that was added is sent."""
        await asyncio.gather(*(sender.sent() for sender in self._senders.values()))

    def forget_gone(self) -> None:
        """Send nothing to nodes that are gone."""
        for node in [node for node in self._senders if node not in self._directory.members]:
            del self._senders[node]
            end(self._changed)

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Run a task for each node that is sent to, until cancelled."""
        running: dict[int, anyio.CancelScope] = {}
        while True:
            for node in [*self._senders]:
                if node not in running:
                    running[node] = scope = anyio.CancelScope()
                    tasks.start_soon(_run_in, scope, self._senders[node])
            for node in [node for node in running if node not in self._senders]:
                running.pop(node).cancel()
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed

    async def close_at_end(self) -> None:
        """Close the wire when cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._wire.close()


async def _run_in(scope: anyio.CancelScope, sender: FrameSender) -> None:
    with scope:
        await sender.run()
