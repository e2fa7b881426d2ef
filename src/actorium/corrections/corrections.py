"""`Corrections`: the way back from a wrong event, on a running application: `runtime.corrections`."""

from __future__ import annotations

from collections.abc import Sequence

from actorium.corrections.cases.cases import Cases
from actorium.corrections.impact.other_services import SERVICE_S
from actorium.corrections.impact.report import Impact
from actorium.corrections.impact.selection import Selection
from actorium.corrections.what_if.differences import WhatIf
from actorium.corrections.what_if.edits import Edits
from actorium.corrections.what_if.questions import what_if
from actorium.runtime.arguments import checked_timeout_s


class Corrections(Cases):
    """What events touched, what would be different without them, and the cases that correct them.

    Every method raises RuntimeClosed while the runtime is not running, NotFound for a case that does not exist, and
    Rejected for a step that the status of the case does not allow.
    """

    async def impact(self, selection: Selection, *, services_timeout_s: float = SERVICE_S) -> Impact:
        """Return what the selected events touched: the events they caused, sagas, rows, snapshots and messages.

        It asks the services that take events of this one in, and those to which it sends commands, what these events
        caused in their logs; `Impact.services` names those that did not answer.

        services_timeout_s: how long each of them has to answer, in seconds.

        Raises NotFound for an id that names no event, UnreadableEvent for an event that cannot be read, and
        ConfigurationError for a timeout that is none.
        """
        return await self._impact(selection, checked_timeout_s(services_timeout_s, "services_timeout_s"))

    async def what_if(self, edits: Edits, *, allow: Sequence[str] = ()) -> WhatIf:
        """Return what would be different if the log were edited; nothing in it changes, and no effect leaves the call.

        It goes through the whole log in memory.

        allow: patterns of differences that are expected, for `<kind> <where>`.

        Raises NotFound if an edit is about an event that the log does not have.
        """
        self._running()
        return await what_if(self._store, self._catalog, edits, allow)
