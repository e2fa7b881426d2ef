"""`DurableSubscription`: a named subscription; the log stores its position under that name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic

from actorium.runtime.log.subscriptions import Subscription
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.events import E_co, RecordedEvent
from actorium.store.names import NAME_BYTES_MAX, is_storable_name


class DurableSubscription(Generic[E_co]):
    """An async context manager and iterator over events that continues from its saved position, even after a restart.

        async with runtime.subscribe("newsletter", types=[AccountOpened]) as subscription:
            async for recorded in subscription:
                await tell(recorded)
                await subscription.save()

    Events that were delivered but not saved are delivered again: at least once, in order. In one runtime, only one
    subscription with a given name may be open.
    """

    def __init__(
        self,
        name: str,
        open_subscription: Callable[[int], Subscription[E_co]],
        store: EventStore,
        save: Callable[[SaveCheckpoint], asyncio.Future[None]],
        names_open: set[str],
        *,
        after: int,
    ) -> None:
        if not is_storable_name(name):
            raise ConfigurationError(
                f"subscribe({name!r:.100}): the name must be a string of 1 to {NAME_BYTES_MAX} bytes without NUL"
            )
        self.name = name
        self.saved_position = 0
        self._open_subscription = open_subscription
        self._store = store
        self._save = save
        self._names_open = names_open
        self._after = after
        self._subscription: Subscription[E_co] | None = None

    async def __aenter__(self) -> DurableSubscription[E_co]:
        if self.name in self._names_open:
            raise ConfigurationError(f"the subscription {self.name!r} is already open: a name has one reader at a time")
        self._names_open.add(self.name)
        try:
            saved = await self._store.load_checkpoint(self._checkpoint)
            # The position is stored plus one, so that 0 means a name that was never saved.
            self.saved_position = saved - 1 if saved else self._after
            self._subscription = self._open_subscription(self.saved_position)
        except BaseException:
            self._names_open.discard(self.name)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
            self._names_open.discard(self.name)

    def __aiter__(self) -> DurableSubscription[E_co]:
        return self

    async def __anext__(self) -> RecordedEvent[E_co]:
        return await self._opened().__anext__()

    @property
    def position(self) -> int:
        """The position up to which every wanted event has been delivered."""
        return self._opened().position

    async def save(self) -> None:
        """Save `position`: the events delivered so far are not delivered again.

        If upcasters split one record into several events, the position moves with the last of them. Raises
        StoreUnavailable or CommitUnknown.
        """
        position = self._opened().position
        if position == self.saved_position:
            return
        await self._save(SaveCheckpoint(self._checkpoint, position + 1))
        self.saved_position = position

    def _opened(self) -> Subscription[E_co]:
        if self._subscription is None:
            raise ConfigurationError(
                f"the subscription {self.name!r} is not open: use `async with runtime.subscribe(…) as subscription:`"
            )
        return self._subscription

    @property
    def _checkpoint(self) -> str:
        return f"subscription {self.name}"
