"""`Corrections`: the way back from a wrong event, on a running application: `runtime.corrections`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actorium.catalog import Catalog
from actorium.corrections.impact.examination import examine
from actorium.corrections.impact.report import Impact
from actorium.corrections.impact.selection import Selection
from actorium.corrections.what_if.differences import WhatIf
from actorium.corrections.what_if.edits import Edits
from actorium.corrections.what_if.questions import what_if
from actorium.store.event_store import EventStore


class Corrections:
    """What events touched, and what would be different without them.

    Every method raises RuntimeClosed while the runtime is not running.
    """

    def __init__(self, store: EventStore, catalog: Catalog, require_running: Callable[[], object]) -> None:
        self._store = store
        self._catalog = catalog
        self._require_running = require_running

    async def impact(self, selection: Selection) -> Impact:
        """Return what the selected events touched: the events they caused, sagas, rows, snapshots and messages.

        Raises NotFound for an id that names no event, and UnreadableEvent for an event that cannot be read.
        """
        self._require_running()
        return await examine(self._store, self._catalog, selection)

    async def what_if(self, edits: Edits, *, allow: Sequence[str] = ()) -> WhatIf:
        """Return what would be different if the log were edited; nothing in it changes, and no effect leaves the call.

        It goes through the whole log in memory.

        allow: patterns of differences that are expected, for `<kind> <where>`.

        Raises NotFound if an edit is about an event that the log does not have.
        """
        self._require_running()
        return await what_if(self._store, self._catalog, edits, allow)
