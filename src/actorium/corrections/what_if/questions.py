"""`what_if` and `with_code`: the two questions about a change, answered with runs of a log."""

from __future__ import annotations

from collections.abc import Sequence

from actorium.catalog import Catalog
from actorium.corrections.what_if.differences import WhatIf, compare, deviations
from actorium.corrections.what_if.edits import Edits
from actorium.corrections.what_if.recorded import recorded_log
from actorium.corrections.what_if.run import LogRun
from actorium.runtime.log.readability import unreadable_shapes
from actorium.store.event_store import EventStore


async def what_if(store: EventStore, catalog: Catalog, edits: Edits, allowed: Sequence[str] = ()) -> WhatIf:
    """Return what would be different if the log were edited; the store is open, and nothing in it changes.

    allowed: patterns of differences that are expected, for `<kind> <where>`.

    Raises NotFound if an edit is about an event that the log does not have.
    """
    log = await recorded_log(store, catalog)
    before, after = LogRun(catalog, log), LogRun(catalog, log, edits)
    await before.run()
    await after.run()
    return await compare(before, catalog, after, catalog, allowed)


async def with_code(
    store: EventStore, catalog: Catalog, new: Catalog | None = None, allowed: Sequence[str] = ()
) -> WhatIf:
    """Return what differs if other code goes through the log; the store is open, and nothing in it changes.

    catalog: the code that wrote the log.
    new: the other code; without it, where the code deviates from what the log recorded.
    allowed: patterns of differences that are expected, for `<kind> <where>`.
    """
    log = await recorded_log(store, catalog)
    before = LogRun(catalog, log)
    await before.run()
    if new is None:
        return deviations(before, allowed)
    after = LogRun(new, log)
    await after.run()
    for run, code in ((before, catalog), (after, new)):
        run.unreadable |= {one.shape.type: one.why for one in await unreadable_shapes(store, code.codec)}
    return await compare(before, catalog, after, new, allowed)
