"""`OtherServices`: asks other services what events of this log caused in theirs, and answers the same question.

Only names, ids and counts travel. Each service follows the causes in its own log, and asks the services around it in
turn, so an answer tells of the services beyond it too.

Invariants: a service that is on the way of a question already answers, but asks nobody in turn; a question goes through
at most `SERVICES_DEEP` services; a service has one time limit, which includes what it asks of others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec

from actorium.catalog import Catalog
from actorium.corrections.impact.examination import Examined, examined
from actorium.corrections.impact.report import Impact, TouchedService
from actorium.corrections.impact.selection import Selection
from actorium.runtime.errors import ServiceUnavailable
from actorium.runtime.services.link import ServiceLink
from actorium.runtime.services.subjects import event_id_of_elsewhere
from actorium.store.event_store import EventStore
from actorium.store.events import as_json, event_type_of
from actorium.store.wording import counted

SERVICE_S = 10.0
"""How long each service has to answer, in seconds, unless the caller says."""
SERVICES_DEEP = 4
"""Through so many services a question goes, counted from the first one that is asked."""
IDS_MAX = 10_000
"""About so many event ids a service is asked at most."""
PAGE_IDS = 1_000
"""So many event ids are in one question."""
LINES_MAX = 40
"""So many lines of the tree of its events are in the answer of a service."""
_ABOUT = "impact"
# The rest of the time is for what this service does itself with the answers.
_PART_OF_OTHERS = 0.9


class ImpactQuestion(msgspec.Struct, frozen=True):
    """What did these events cause in your log?

    ids: the ids of the events in the log of the service that asks.
    path: the services on the way of the question, from the first on.
    """

    ids: tuple[str, ...]
    path: tuple[str, ...]


class ImpactAnswer(msgspec.Struct, frozen=True):
    """What some events of another service caused: `TouchedService` says what the fields hold."""

    counts: dict[str, int]
    tree: list[str]
    services: tuple[TouchedService, ...]


_decode_question = msgspec.json.Decoder(ImpactQuestion).decode
_decode_answer = msgspec.json.Decoder(ImpactAnswer).decode


class OtherServices:
    """The question of what some events caused, to other services and from them.

    running: raises RuntimeClosed while the runtime is not running.
    """

    def __init__(self, store: EventStore, catalog: Catalog, link: ServiceLink, running: Callable[[], object]) -> None:
        self._store = store
        self._catalog = catalog
        self._link = link
        self._running = running
        self._name = link.service.name
        link.questions.answer(_ABOUT, self._answer)

    async def touched(
        self, found: Examined, timeout_s: float, path: tuple[str, ...] = ()
    ) -> tuple[TouchedService, ...]:
        """Return what the events of an examination touched in other services, by name.

        timeout_s: how long each service has to answer, in seconds.
        path: the services through which the question came.
        """
        asked = {name: list(dict.fromkeys(ids)) for name, ids in self._ids(found)}
        why = ""
        if self._name in path:
            why = f"not asked again: the question came through {self._name} before"
        elif len(path) >= SERVICES_DEEP:
            why = f"not asked: the question went through {counted(SERVICES_DEEP, 'service')}"
        names = sorted(name for name, ids in asked.items() if ids)
        if why:
            return tuple(TouchedService(name, len(asked[name]), why) for name in names)
        path = (*path, self._name)
        return tuple(await asyncio.gather(*(self._ask(name, asked[name], path, timeout_s) for name in names)))

    def _ids(self, found: Examined) -> Iterator[tuple[str, Iterable[str]]]:
        """Yield each service in which the events may have caused something, with the ids by which it may know them."""
        commanded = {remote.name for remote in self._catalog.remotes if remote.commands}
        everything = [id for event, parts in found.parts for id in (event.id, *(one.event_id for one in parts))]
        listeners = self._link.listeners
        for name in commanded | set(listeners):
            yield name, everything if name in commanded else self._published(found, listeners[name])

    def _published(self, found: Examined, types: Collection[str]) -> Iterator[str]:
        publishes = tuple(self._link.service.publishes)
        for event, parts in found.parts:
            for one in parts:
                if isinstance(one.event, publishes) and event_type_of(type(one.event)) in types:
                    yield event.id
                    yield one.event_id

    # --- the question ---------------------------------------------------------------------------------------------

    async def _ask(self, name: str, ids: Sequence[str], path: tuple[str, ...], timeout_s: float) -> TouchedService:
        answers: list[ImpactAnswer] = []
        told = 0
        why = "" if len(ids) <= IDS_MAX else f"asked about the first {IDS_MAX:,} of {len(ids):,} events"
        try:
            async with asyncio.timeout(timeout_s) as limit:
                for page in _pages(ids[:IDS_MAX], self._link.questions.largest_content):
                    left_s = (limit.when() or 0.0) - asyncio.get_running_loop().time()
                    content = as_json(ImpactQuestion(tuple(page), path))
                    answers.append(_decode_answer(await self._link.questions.ask(name, _ABOUT, content, left_s)))
                    told += len(page)
        except (ServiceUnavailable, TimeoutError) as error:
            why = str(error) or f"no answer within {timeout_s:.3g} s"
        except (msgspec.DecodeError, UnicodeDecodeError):
            why = "its answer cannot be read"
        if why and 0 < told < len(ids):
            why = f"{why}; it answered about {told:,} of {len(ids):,} events"
        return _joined(name, len(ids), why, answers)

    # --- the answer -----------------------------------------------------------------------------------------------

    async def _answer(self, sender: str, content: bytes, time_left_s: float) -> bytes:
        self._running()
        started = asyncio.get_running_loop().time()
        question = _decode_question(content)
        causes = [event_id_of_elsewhere(sender, id) for id in question.ids[:PAGE_IDS]]
        if not causes:
            return as_json(ImpactAnswer({}, [], ()))
        found = await examined(self._store, self._catalog, Selection(causes=causes), self._link.service)
        left_s = time_left_s - (asyncio.get_running_loop().time() - started)
        path = question.path if sender in question.path else (*question.path, sender)
        services = await self.touched(found, left_s * _PART_OF_OTHERS, path)
        worth_telling = tuple(one for one in services if one.counts or one.problem)
        return as_json(ImpactAnswer(_counts(found.impact), list(found.impact.tree(LINES_MAX)), worth_telling))


def _counts(impact: Impact) -> dict[str, int]:
    """Return the counts above 0; those of its events are one, as none of them was selected by a person."""
    counts = {name: number for name, number in impact.counts().items() if number}
    for name in ("selected events", "caused events"):
        counts.pop(name, None)
    return {"events": len(impact.events), **counts} if impact.events else {}


def _pages(ids: Sequence[str], bytes_max: int) -> Iterator[list[str]]:
    page: list[str] = []
    size = 0
    for id in ids:
        length = len(as_json(id)) + 1
        if page and (len(page) == PAGE_IDS or size + length > bytes_max):
            yield page
            page, size = [], 0
        page.append(id)
        size += length
    if page:
        yield page


def _joined(name: str, asked: int, problem: str, answers: Sequence[ImpactAnswer]) -> TouchedService:
    """Return the answers to the pages of one question as one."""
    counts: dict[str, int] = {}
    for one in answers:
        for kind, number in one.counts.items():
            counts[kind] = counts.get(kind, 0) + number
    tree = [line for one in answers for line in one.tree][: LINES_MAX + 1]  # the last may say how many are left out
    return TouchedService(name, asked, problem, counts, tree, [beyond for one in answers for beyond in one.services])
