"""`NewerCode`: what a node does with commands and events that only newer code, on another node, knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actorium.actors.errors import HydrationFailed
from actorium.runtime.cluster.directory import Directory
from actorium.runtime.errors import NewerCodeNeeded
from actorium.store.codec import EventCodec
from actorium.store.errors import UnknownEventType
from actorium.store.log import logger
from actorium.store.names import StoredEventType

log = logger("actorium.runtime")


class NewerCode:
    """Tells what newer code wrote, and gives shards to it.

    node: the name of this node.
    stored: the shapes of the events that were in the log at the start. Those that cannot be read are not newer.
    hand_over: asks for the shards that are to be given away to be handed over.
    """

    def __init__(
        self,
        node: str,
        directory: Directory,
        codec: EventCodec,
        stored: Iterable[StoredEventType],
        hand_over: Callable[[], None],
    ) -> None:
        self._node = node
        self._directory = directory
        self._codec = codec
        self._hand_over = hand_over
        shapes = ((one.type, one.schema_version) for one in stored)
        self._lost = frozenset(shape for shape in shapes if codec.why_unreadable(*shape) is not None)

    def is_newer(self, event_type: str, schema_version: int) -> bool:
        """Return whether newer code wrote a shape of event: it cannot be read here, and was not there at the start."""
        shape = (event_type, schema_version)
        return self._codec.why_unreadable(*shape) is not None and shape not in self._lost

    def give_away(self, shard: int, to: int | str) -> bool:
        """Hand a shard over, as `Directory.give_away` does."""
        if not self._directory.give_away(shard, to):
            return False
        log.info("newer_code_needed", node=self._node, shard=shard, to=to)
        self._hand_over()
        return True

    def read_elsewhere(self, shard: int, unknown: UnknownEventType) -> bool:
        """Hand over a shard with an event that newer code wrote; return False for one that was there at the start."""
        return self.wrote(unknown) and self.give_away(shard, unknown.event_type)

    def needed(self, error: BaseException) -> NewerCodeNeeded | None:
        """Return what to raise to a reader that met an event of newer code; None if the error has another reason."""
        unknown = error.__cause__ if isinstance(error, HydrationFailed) else error
        if not (isinstance(unknown, UnknownEventType) and self.wrote(unknown)):
            return None
        return NewerCodeNeeded(
            f"{unknown.stream} holds events of newer code ({unknown.event_type} at version {unknown.version}), "
            "which this node cannot read: ask a node with that code, or deploy it here"
        )

    def wrote(self, unknown: UnknownEventType) -> bool:
        """Return whether newer code wrote an event that cannot be read; False for one that was there at the start."""
        return all(unknown.event_type != name for name, _ in self._lost)
