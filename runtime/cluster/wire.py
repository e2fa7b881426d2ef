"""`Wire`: how frames travel between the nodes of a cluster; `StoreWire` sends them through the log's database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from actorium.runtime.messages.frames import FRAME_BYTES_MAX
from actorium.store.shared import ClusterStore

Receive = Callable[[bytes], None]


class Wire(Protocol):
    """Carries frames, which are UTF-8 text. A frame may be lost, come twice, late, or in another order."""

    async def open(self, node: int, receive: Receive, repeat: Callable[[int], None]) -> None:
        """Call `receive` with each frame for a node, the one that this process is.

        repeat: called with the number of a node when frames to it or from it may be lost, so that what it has not
            answered is sent again at once; 0 for all nodes.
        """
        ...

    @property
    def frame_bytes(self) -> int:
        """How many bytes of messages to gather in a frame; a larger message is a frame of its own."""
        ...

    async def send(self, node: int, frame: bytes) -> None:
        """Send a frame to a node; return when the next may be sent. Raises any error if it is lost."""
        ...

    def doubt(self, node: int) -> None:
        """Note that something sent to or by a node did not arrive in time, so that another way is tried, if any."""
        ...

    async def close(self) -> None:
        """Send and receive nothing any more."""
        ...


class StoreWire:
    """Sends frames through the store, so that who reaches the log reaches every node."""

    frame_bytes = FRAME_BYTES_MAX

    def __init__(self, store: ClusterStore) -> None:
        self._store = store

    async def open(self, node: int, receive: Receive, repeat: Callable[[int], None]) -> None:
        await self._store.hear(receive, lambda: repeat(0))

    async def send(self, node: int, frame: bytes) -> None:
        await self._store.tell(node, frame)

    def doubt(self, node: int) -> None:
        """Do nothing: there is no other way."""

    async def close(self) -> None:
        """Do nothing: the messages end when the store is closed."""
