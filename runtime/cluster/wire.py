"""`Wire`: how frames travel between the nodes of a cluster; `StoreWire` sends them through the log's database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from actorium.store.shared import ClusterStore

Receive = Callable[[bytes], None]


class Wire(Protocol):
    """Carries frames, which are UTF-8 text. A frame may be lost, come twice, late, or in another order."""

    async def open(self, node: int, receive: Receive) -> None:
        """Call `receive` with each frame for a node, the one that this process is."""
        ...

    async def send(self, node: int, frame: bytes) -> None:
        """Send a frame to a node; return when the next may be sent. Raises any error if it is lost."""
        ...

    async def close(self) -> None:
        """Send and receive nothing any more."""
        ...


class StoreWire:
    """Sends frames through the store, so that who reaches the log reaches every node."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store

    async def open(self, node: int, receive: Receive) -> None:
        await self._store.hear(receive)

    async def send(self, node: int, frame: bytes) -> None:
        await self._store.tell(node, frame)

    async def close(self) -> None:
        """Do nothing: the messages end when the store is closed."""
