"""`compare`: the differences between two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from actorium.catalog import Catalog
from actorium.corrections.what_if.decisions import Decision
from actorium.corrections.what_if.read_models import ReadModelState, read_model
from actorium.corrections.what_if.run import LogRun
from actorium.runtime.processors.outlet import Outlet
from actorium.store.events import Event, RecordedEvent, as_json, event_type_of
from actorium.store.wording import counted

Kind = Literal["unreadable", "decision", "check", "state", "saga", "row", "message"]

_KEPT_MAX = 10_000
_SHOWN_CHARACTERS = 500


class Difference(msgspec.Struct, frozen=True):
    """One difference between two runs.

    kind: what differs: whether events can be read ("unreadable"), what became of a recorded command ("decision") or of
        a variant of one ("check"), the state of an aggregate, a saga, a row of a projection, or a published event.
    where: the command, stream, row or message.
    before, after: as text; empty if it exists in one run only.
    """

    kind: Kind
    where: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.kind} {self.where}: {self.before or 'nothing'} → {self.after or 'nothing'}"


class WhatIf(msgspec.Struct, frozen=True):
    """The differences that a change makes.

    events: how many events of the log were gone through.
    commands: how many commands were decided again; `unknown_commands` are those that could not be rebuilt from their
        events: their events were taken as recorded.
    differences: at most 10,000 of each kind; `counts` counts all of them by kind.
    allowed: differences that the allow-list permits; they are not among the others.
    """

    events: int
    commands: int
    unknown_commands: int
    differences: Sequence[Difference]
    counts: Mapping[str, int]
    allowed: int = 0

    def refused(self) -> list[Difference]:
        """Return the commands that took effect and would now be refused or not be sent."""
        return [one for one in self.differences if one.kind == "decision" and one.after.startswith(("refused", "not"))]

    def as_json(self) -> bytes:
        """Return the report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self))

    def lines(self, lines_max: int) -> Iterator[str]:
        """Yield the report as lines for a person."""
        yield f"{counted(self.events, 'event')}, {counted(self.commands, 'command')} decided again"
        if self.unknown_commands:
            yield f"{counted(self.unknown_commands, 'command')} could not be rebuilt: their events were kept"
        if self.allowed:
            yield f"{counted(self.allowed, 'difference')} allowed"
        for kind, number in self.counts.items():
            yield f"{number:>8,}  {kind}"
        for difference in self.differences[:lines_max]:
            yield str(difference)


class _Found:
    """Collects differences, without those that are allowed."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._patterns = allowed
        self.differences: list[Difference] = []
        self.counts: Counter[str] = Counter()
        self.allowed = 0

    def add(self, kind: Kind, where: str, before: object, after: object) -> None:
        if any(fnmatchcase(f"{kind} {where}", pattern) for pattern in self._patterns):
            self.allowed += 1
            return
        self.counts[kind] += 1
        if self.counts[kind] <= _KEPT_MAX:
            self.differences.append(Difference(kind, where, _shown(before), _shown(after)))

    def mappings(self, kind: Kind, prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for key in dict.fromkeys((*before, *after)):
            if before.get(key) != after.get(key):
                self.add(kind, f"{prefix}{key}", before.get(key), after.get(key))


def _shown(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else value.shown if isinstance(value, Decision) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


async def compare(
    before: LogRun, before_catalog: Catalog, after: LogRun, after_catalog: Catalog, allowed: Sequence[str] = ()
) -> WhatIf:
    """Return what differs between two runs of the same log.

    allowed: patterns of differences that are expected, such as `state bank.account<*`, for `<kind> <where>`.
    """
    found = _Found(allowed)
    found.mappings("unreadable", "", before.unreadable, after.unreadable)
    _decisions(found, before, after)
    if before_catalog is not after_catalog:
        _checks(found, before, after)
    found.mappings("state", "", _states(before), _states(after))
    found.mappings("saga", "", _sagas(before), _sagas(after))
    await _rows(found, before, before_catalog, after, after_catalog)
    _messages(found, before, before_catalog, after, after_catalog)
    return _report(found, after)


def deviations(run: LogRun, allowed: Sequence[str] = ()) -> WhatIf:
    """Return where a run of unchanged events deviates from what the log recorded."""
    found = _Found(allowed)
    found.mappings("unreadable", "", {}, run.unreadable)
    for id, recorded in run.recorded.items():
        decision = run.decisions[id]
        if decision.content != recorded.content:
            found.add("decision", _of(id, decision), recorded, decision)
    for id, decision in run.decisions.items():
        if id not in run.recorded and decision.outcome in ("not sent", "accepted") and decision.events:
            found.add("decision", _of(id, decision), None, decision)
    for name, error in {**run.states.broken, **run.sagas.broken}.items():
        found.add("state", str(name), None, error)
    return _report(found, run)


def _report(found: _Found, run: LogRun) -> WhatIf:
    counts = dict(found.counts)
    log = run.log
    events = sum(len(append.records) for append in log.appends)
    return WhatIf(events, len(run.decisions), log.unknown_commands, found.differences, counts, found.allowed)


def _of(id: str, decision: Decision) -> str:
    return f"{decision.command} to {decision.stream}, {id}"


def _decisions(found: _Found, before: LogRun, after: LogRun) -> None:
    for id in dict.fromkeys((*before.decisions, *after.decisions)):
        one, other = before.decisions.get(id), after.decisions.get(id)
        if one is not None and other is not None and one.content == other.content:
            continue
        known = other or one
        assert known is not None
        found.add("decision", _of(id, known), one, other)


def _checks(found: _Found, before: LogRun, after: LogRun) -> None:
    """Compare the answers to the questions that both runs were asked."""
    for question, one in before.probes.answers.items():
        other = after.probes.answers.get(question)
        if other is None or (one.outcome == other.outcome == "failed"):
            continue
        if one.content != other.content:
            found.add("check", f"{question} to {one.stream}", one, other)


def _states(run: LogRun) -> dict[str, Any]:
    states = {
        str(name): run.states.broken.get(name) or msgspec.to_builtins(state, str_keys=True)
        for name, state in run.states.by_stream.items()
        if run.states.versions.get(name)
    }
    return states


def _sagas(run: LogRun) -> dict[str, Any]:
    return {
        str(name): run.sagas.broken.get(name)
        or (
            stream.status,
            stream.reason,
            msgspec.json.decode(stream.state),
            [(step.key, [(type, msgspec.json.decode(fields)) for type, fields in step.content]) for step in steps],
        )
        for name, stream in run.sagas.sagas.items()
        if stream.status
        for steps in [run.sagas.steps.get(name, [])]
    }


async def _rows(found: _Found, before: LogRun, before_catalog: Catalog, after: LogRun, after_catalog: Catalog) -> None:
    ours = {one.__definition__.name: one for one in before_catalog.projections}
    theirs = {one.__definition__.name: one for one in after_catalog.projections}
    for name in dict.fromkeys((*ours, *theirs)):
        one = await read_model(ours[name], _seen(before, name)) if name in ours else ReadModelState({}, {})
        other = await read_model(theirs[name], _seen(after, name)) if name in theirs else ReadModelState({}, {})
        for table in dict.fromkeys((*one.rows, *other.rows)):
            prefix = f"{name}.{table} " if table else f"{name} "
            found.mappings("row", prefix, one.rows.get(table, {}), other.rows.get(table, {}))
        found.mappings("row", f"{name} fails on ", one.failed, other.failed)


def _seen(run: LogRun, projection: str) -> Sequence[RecordedEvent[Event]]:
    """Return the events of a run that a projection does not skip."""
    skipped = run.skipped.get(projection)
    return run.events if not skipped else [one for one in run.events if one.event_id not in skipped]


def _messages(found: _Found, before: LogRun, before_catalog: Catalog, after: LogRun, after_catalog: Catalog) -> None:
    ours = {outlet.name: _published(outlet, before) for outlet in before_catalog.outlets}
    theirs = {outlet.name: _published(outlet, after) for outlet in after_catalog.outlets}
    for name in dict.fromkeys((*ours, *theirs)):
        found.mappings("message", f"{name} ", ours.get(name, {}), theirs.get(name, {}))


def _published(outlet: Outlet, run: LogRun) -> dict[str, Any]:
    """Return what an outlet publishes, by command: versions and positions differ as soon as one event does."""
    types = tuple(outlet.types)
    found: dict[str, Any] = {}
    for recorded in run.events:
        if isinstance(recorded.event, types):
            content = event_type_of(type(recorded.event)), msgspec.json.decode(as_json(recorded.event))
            found.setdefault(f"{recorded.stream}, {recorded.metadata.command_id}", []).append(content)
    return found
