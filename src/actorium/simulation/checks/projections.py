"""`ReadModels`: each projection equals the fold of the log, at rest and whenever it was queried.

A projection whose handler fails for too long parks the event and continues with the other streams. From then on only
the order within each stream is guaranteed, and answers lack the parked event. So after parking, the content is compared
only if the order between streams makes no difference, and answers are not compared. Nor are they once a correction case
has the projection skip events, or a subject of events that it reads was forgotten: earlier answers are right with these
events, or with the texts that nobody can read any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from actorium.application import Runtime
from actorium.correction_case import CaseBegun, CasePlanned
from actorium.personal.forgetting import SubjectForgotten
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.table_projection import checkpoint_name
from actorium.simulation.checks.culprits import handlers_of
from actorium.simulation.checks.finding import PROJECTED, Violated
from actorium.simulation.checks.folds import Fold, TableFold, Unanswerable, as_content, fold_of, select_all
from actorium.simulation.record.history import UNKNOWN, Asking, History
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.event_store import SaveCheckpoint
from actorium.store.events import EncodedRecord
from actorium.store.personal.fields import holds_personal
from actorium.user_code.lines import described


class ReadModels:
    """The projections of one node."""

    def __init__(
        self, projections: Sequence[type[Projection]], witness: Witness, view: View, violated: Violated
    ) -> None:
        self.use(projections)
        self._witness = witness
        self._view = view
        self._violated = violated
        self._parked: set[str] = set()
        self._checkpoints: dict[str, int] = {}

    def use(self, projections: Sequence[type[Projection]]) -> None:
        """Use these projections from now on."""
        self._names = {_name(one): one for one in projections}

    def committed(self, checkpoints: Iterable[SaveCheckpoint]) -> None:
        """Check the checkpoints written by one commit."""
        for checkpoint in checkpoints:
            name, position = checkpoint.name, checkpoint.position
            if checkpoint.parked:
                self._parked.add(name)
            projection = self._names.get(name)
            if projection is None:
                continue
            if position > self._witness.position:
                expected = f"{name} no further than {self._witness.position}"
                self._violated("no checkpoint is ahead of the log", expected, position)
            if projection.__definition__.has_tables:
                before = self._checkpoints.get(name, 0)
                if 0 < position < before:
                    self._violated("a checkpoint does not move back", f"{name} at {before} or later", position)
                self._checkpoints[name] = position

    async def at_rest(self, runtime: Runtime, history: History) -> None:
        """Compare each projection's content, and the answers it gave, with folds of the log."""
        for name, projection in self._names.items():
            askings = [one for one in history.askings if one.query.projection is projection]
            marked = self._marked(projection)
            if marked or name in self._parked or (askings and self._has_lost_texts(projection)):
                askings = []
            try:
                await self._compare(name, projection, runtime, askings, marked)
            except Exception as error:
                if name not in self._parked:
                    what = f"{name}: a handler that accepts every event in the log"
                    self._violated(PROJECTED, what, described(error))

    def _marked(self, projection: type[Projection]) -> set[int]:
        """Return the positions of the events that a projection skips because of a correction case."""
        plans = {recorded.stream_id: recorded.event for recorded in self._view.events(CasePlanned)}
        follower = f"projection {projection.__definition__.name}"
        return {
            position
            for begun in self._view.events(CaseBegun)
            for mark in plans[begun.stream_id].marks
            if mark.follower == follower
            for position in mark.positions
        }

    def _has_lost_texts(self, projection: type[Projection]) -> bool:
        """Return whether a projection reads events with personal data, and some was forgotten."""
        if next(self._view.events(SubjectForgotten), None) is None:
            return False
        read = {type(recorded.event) for recorded in self._view.events(*projection.__definition__.handlers)}
        return any(map(holds_personal, read))

    async def _compare(
        self, name: str, projection: type[Projection], runtime: Runtime, askings: list[Asking], marked: Collection[int]
    ) -> None:
        fold = fold_of(projection)
        skipped = {*marked} | {
            letter.position for letter in runtime.processors[projection].dead_letters(discarded=True)
        }
        try:
            self._judge(fold, askings, skipped)
            expected = fold.content()
            found = await _found(fold, projection, runtime)
        finally:
            fold.close()
        if found == expected or (name in self._parked and self._order_matters(projection, expected, skipped)):
            return
        if isinstance(expected, dict):
            table = next(table for table in expected if expected[table] != found[table])
            expected, found = f"{table}: {expected[table]}", found[table]
        culprit = handlers_of(projection, self._view)
        self._violated(PROJECTED, f"{name}: {expected}", found, culprit=culprit)

    def _judge(self, fold: Fold, askings: list[Asking], skipped: Collection[int]) -> None:
        """Fold the whole log but for discarded events; for each answer, find a position at which it was correct."""
        waiting = [one for one in askings if one.delivery.known != UNKNOWN and not _failed(one)]
        waiting.sort(key=lambda asking: asking.after)
        for position in range(self._witness.position + 1):
            changed = position == 0
            for recorded in self._view.recorded(position) if position and position not in skipped else ():
                changed |= fold.apply(recorded)
            if waiting:
                waiting = [one for one in waiting if not self._is_settled(fold, one, position, changed)]

    def _is_settled(self, fold: Fold, asking: Asking, position: int, changed: bool) -> bool:
        if position < asking.after or not (changed or position == asking.after or position == asking.delivery.known):
            return False
        try:
            answer = fold.ask(asking.query, asking.arguments)
        except Unanswerable:
            return True
        if answer == asking.delivery.answer:
            return True
        if position < asking.delivery.known:
            return False
        what = f"{asking.query!r}{asking.arguments} asked after {asking.after}, answered {asking.delivery.answer!r}"
        found = f"at position {position}: {answer!r}"
        self._violated(
            "an answer of a projection was correct at some position", what, found, culprit=repr(asking.query)
        )
        return True

    def _order_matters(self, projection: type[Projection], in_order: Any, skipped: Collection[int]) -> bool:
        """Return whether another interleaving of the streams, each in its own order, gives another read model."""
        streams = list(self._witness.streams.values())
        try:
            return any(self._folded(projection, order, skipped) != in_order for order in (streams, streams[::-1]))
        except Exception:
            return True

    def _folded(
        self, projection: type[Projection], streams: Iterable[Iterable[EncodedRecord]], skipped: Collection[int]
    ) -> Any:
        fold = fold_of(projection)
        try:
            for records in streams:
                for record in records:
                    for recorded in self._view.recorded(record.position) if record.position not in skipped else ():
                        fold.apply(recorded)
            return fold.content()
        finally:
            fold.close()


async def _found(fold: Fold, projection: type[Projection], runtime: Runtime) -> Any:
    """Return the content of the runtime's own read model."""
    if isinstance(fold, TableFold):
        return {table: as_content(await runtime.store.query(select_all(table), ())) for table in fold.tables()}
    work: Any = runtime.processors[projection]._work
    return work.instance


def _failed(asking: Asking) -> bool:
    return isinstance(asking.delivery.answer, Exception)


def _name(projection: type[Projection]) -> str:
    return checkpoint_name(projection.__definition__.name, projection.__definition__.version)
