"""`SharedStore`: a store whose log several processes open. One of them owns the log and writes; the others stand by.

Every adapter guarantees the following (`actorium.testing.SharedStoreContract` checks it):
- `open` joins: it takes the log if nobody holds it. Otherwise it raises StoreInUse, which names the holder, or waits,
  as the store was told when it was created;
- a holder renews its lease while it is open. It is gone once it has closed, its process has died, or its lease has run
  out; a lease only says when somebody may take over;
- taking over fences: from that moment nothing that the former holder sent is written, however late it arrives. Its
  `append` and `save` raise Fenced, and so do its reads once it knows. Opened again, it joins like any other;
- `close` leaves: the next one takes over at once;
- versions and positions have no gap, whoever wrote them.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from actorium.store.errors import Fenced
from actorium.store.event_store import EventStore, Head


@runtime_checkable
class SharedStore(EventStore, Protocol):
    """A store that another runtime can take over while this one still runs."""

    async def until_lost(self) -> Fenced:
        """Return the reason once another runtime has taken over the log; wait if none has. The store is open."""
        ...

    async def watch(self, position: int, poll_s: float) -> Head:
        """Return the end of the log once it is beyond a position, whoever wrote.

        It hears of the appends of others, and looks every `poll_s` seconds because such a hint may be lost.
        """
        ...
