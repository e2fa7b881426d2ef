"""`DurableSubscription`: a subscription with a name, under which the log keeps how far its reader has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic

from actorium.actors.commands import is_unicode
from actorium.runtime.log.subscriptions import Subscription
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.events import E_co, RecordedEvent
from actorium.store.writer import Extra


class DurableSubscription(Generic[E_co]):
    """An async context and iterator: it goes on behind what was saved, after a restart too.

        async with runtime.subscribe("newsletter", types=[AccountOpened]) as subscription:
            async for recorded in subscription:
                await tell(recorded)
                await subscription.save()

    What was given out and not saved is given out again: at least once, in order. A name is open once per runtime.
    """

    def __init__(
        self,
        name: str,
        open_subscription: Callable[[int], Subscription[E_co]],
        store: EventStore,
        save: Callable[[Extra], asyncio.Future[None]],
        names_open: set[str],
        *,
        after: int,
    ) -> None:
        if not name or not is_unicode(name):
            raise ConfigurationError(
                f"subscribe({name!r}): the name under which its position is kept, a text, not empty"
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
            raise ConfigurationError(f"the subscription {self.name!r} is open already: a name has one reader at a time")
        self._names_open.add(self.name)
        try:
            saved = await self._store.load_checkpoint(self._checkpoint)
            # One more than the position is kept, so that 0 stays the mark of a name that was never saved.
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
        """Everything up to here has been given out, or is not wanted."""
        return self._opened().position

    async def save(self) -> None:
        """Keep `position`: what was given out up to now is over, and is not given out again.

        Of the events that upcasters make of one record, the last takes the position with it. Raises
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
                f"the subscription {self.name!r} is not open: `async with runtime.subscribe(…) as subscription:`"
            )
        return self._subscription

    @property
    def _checkpoint(self) -> str:
        return f"subscription {self.name}"
