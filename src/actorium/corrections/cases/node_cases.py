"""`NodeCases`: carries out on a node of a cluster what cases say to the followers that run there.

A case can be changed on any node, and its followers may run on others. No messages are sent: each node reads the events
of cases, and does what the latest state of a case says. So a node that starts, or takes over a follower, needs nothing
but the log.

Invariants, true between any two awaits:
- a follower runs here only after every case up to the end of the log, as it was then, is in force here;
- one task at a time works on a case in this node.
"""

from __future__ import annotations

import asyncio

import anyio.abc

from actorium.catalog import Catalog
from actorium.correction_case import ConfirmFollower, CorrectionCase, FollowerState, RecordRepair
from actorium.corrections.cases.application import CaseApplication
from actorium.corrections.cases.keeper import case_of
from actorium.corrections.cases.services import CaseServices
from actorium.runtime.component import Component
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import FollowerElsewhere
from actorium.runtime.waits import end, ended
from actorium.store.errors import Fenced
from actorium.store.events import event_type_of
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through
from actorium.store.tables.log_search import FindEvents

log = logger("actorium.runtime")

_SEARCHED_AT_ONCE = 10_000
_TYPES = tuple(event_type_of(one) for one in CorrectionCase.__definition__.evolvers)


class NodeCases(Component):
    """What one node does about the cases in the log.

    services: the parts of this node that cases use; the attribute of this name has `look` as well.
    """

    def __init__(self, catalog: Catalog, environment: RuntimeEnvironment, services: CaseServices) -> None:
        self.services = services._replace(look=self.look_soon)
        self._application = CaseApplication(catalog, environment, self.services)
        self._keeper = services.keeper
        self._environment = environment
        self._log_tail = services.engine.log_tail
        self._position = self._log_tail.position
        self._looking = asyncio.Lock()
        self._wake: asyncio.Future[bool] | None = None
        self._has_work = True
        self._working: set[str] = set()
        self._unbuilt: set[str] = set()  # applied cases whose projections in memory are not repaired here yet
        self._rebuilt: set[str] = set()  # those whose projections are, until they are over

    async def prepare(self) -> None:
        """Read the cases of the log; projections in memory are built later, with their marks in force."""
        await self._keeper.prepare()
        self._rebuilt.update(id for id, case in self._keeper.open.items() if _is_applied(case))

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Begin to follow the cases."""
        tasks.start_soon(self._run, tasks)

    def look_soon(self) -> None:
        """Look at the cases, and do what they say here."""
        self._has_work = True
        end(self._wake)

    async def know_cases(self) -> None:
        """Put into force what the cases up to the end of the log say, however long that takes."""
        while True:
            try:
                await self._look()
                return
            except Fenced:
                return
            except BaseException as raised:
                self._failed(raised)
            await asyncio.sleep(self._environment.settings.poll_s)

    async def _run(self, tasks: anyio.abc.TaskGroup) -> None:
        while True:
            if not self._has_work:
                self._wake = asyncio.get_running_loop().create_future()
                await ended(self._wake, self._environment.settings.poll_s)
            self._has_work = False
            await self.know_cases()
            for id in {*self._keeper.open, *self._unbuilt} - self._working:
                self._working.add(id)
                tasks.start_soon(self._work_on, id)

    async def _look(self) -> None:
        """Put into force what the events of cases say that are new to this node."""
        store, codec = self._environment.store, self._environment.codec
        async with self._looking:
            while (head := self._log_tail.position) > self._position:
                until = min(head, self._position + _SEARCHED_AT_ONCE)
                query = FindEvents(_TYPES, self._position, until + 1, _SEARCHED_AT_ONCE)
                changed: set[str] = set()
                for position in await store.read_rows(query):
                    (record,) = await store.read_log(position - 1, 1)
                    changed.add(record.stream.id)
                for id in changed:
                    case = await case_of(store, codec, id)
                    self._keeper.take(case)
                    if _is_applied(case) and id not in self._rebuilt:
                        self._unbuilt.add(id)
                # A case that is over has no more events.
                self._rebuilt.intersection_update(self._keeper.open)
                self._position = until

    async def _work_on(self, id: str) -> None:
        """Do what a case says to the followers that run here, and record it."""
        try:
            case = await self._application.state(id)
            self._keeper.take(case)
            if id in self._unbuilt:
                await self._rebuild(case)
                case = await self._application.state(id)
            for does, name in self._application.orders(case):
                if name not in case.confirmed.get(does, ()):
                    await self._confirm(case, name, does)
            if self._application.has_work(case):
                await self._application.finish(case, await self._application.records(case))
        except FollowerElsewhere:
            pass  # it moved meanwhile, and its new node goes on
        except BaseException as raised:
            self._failed(raised)
        finally:
            self._working.discard(id)

    async def _rebuild(self, case: CorrectionCase) -> None:
        """Reset the projections in memory that a case repairs: each node has its own."""
        for name in case.repairs:
            follower = f"projection {name}"
            if follower in self._application.in_memory:
                await self._keeper.followers[follower].reset()
                if follower in case.missing:
                    await self._application.ask(RecordRepair(case.id, name, 0, True))
        self._unbuilt.discard(case.id)
        self._rebuilt.add(case.id)

    async def _confirm(self, case: CorrectionCase, name: str, does: FollowerState) -> None:
        """Confirm what a follower does, if it runs here."""
        processor = self._keeper.followers[name]
        if not processor.is_elsewhere:
            await processor.between_pages(_nothing)
            await self._application.ask(ConfirmFollower(case.id, name, does))

    def _failed(self, raised: BaseException) -> None:
        let_through(raised)
        log.warning("cases_not_followed", error=error_text(raised))


async def _nothing() -> None:
    """Wait for the page that a follower is handling."""


def _is_applied(case: CorrectionCase) -> bool:
    return case.status in ("applied", "closed")
