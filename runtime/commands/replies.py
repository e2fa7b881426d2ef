"""`Replies`: tells callers whether their command was committed, refused or a duplicate.

Invariants: every delivered envelope is answered exactly once; replies to one actor's commands go out in the order in
which it decided them; a command that wrote nothing and whose id was chosen by its caller is answered only after a
look-up in the log, because the id may have taken effect before. If another runtime may have taken over the log, a
reply that rests on memory alone waits until the lease is confirmed. A commit whose outcome is unknown may be in the log
beyond the tail, and actors may depend on it: then the reply to a command that wrote nothing names the log's own end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.commands import Ack
from actorium.actors.envelope import Envelope
from actorium.actors.errors import CommandConflict, Rejected
from actorium.actors.fingerprint import NOT_DONE, is_narrow
from actorium.actors.pending import PendingAppend
from actorium.actors.status import Status
from actorium.runtime.commands.admission import Admission
from actorium.runtime.commands.answer_batch import AnswerBatch, set_result
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.commands.known_ids import KnownIds
from actorium.runtime.log.log_tail import LogTail
from actorium.store.codec import EventCodec
from actorium.store.errors import ActoriumError, CommitUnknown, DamagedLog, OutcomeUnknown, Transient
from actorium.store.event_store import Appended, AppendOutcome, EventStore, StreamRead
from actorium.store.events import EncodedRecord, Event
from actorium.store.log import logger
from actorium.store.names import CommandRecord
from actorium.store.raised import let_through, repr_of, text_of
from actorium.store.shared import is_shared

log = logger("actorium.runtime")


# Questions that are answered together: one read for the events of all first effects, and concurrent look-ups, which
# share the store's reading thread.
LOOK_UPS_AT_ONCE = 256
_RECOVERING = Status.RECOVERING


class _Question(msgspec.Struct):
    """A look-up of an earlier effect of a command's id, unless `record` already tells it; without one, reply
    `outcome`, which must still be true then.
    """

    envelope: Envelope
    outcome: Any
    record: CommandRecord | None
    answered: bool = False

    @property
    def is_new(self) -> bool:
        """Whether the command certainly had no earlier effect, so that only the lease is to be confirmed."""
        return self.record is None and (self.envelope.fresh or self.envelope.handler is None)


class Replies:
    """Resolves the futures of commands."""

    def __init__(
        self,
        store: EventStore,
        codec: EventCodec,
        admission: Admission,
        log_tail: LogTail,
        deadlines: Deadlines[Envelope],
        answers: AnswerBatch,
        known_ids: KnownIds,
    ) -> None:
        self._store = store
        self._shared = store if is_shared(store) else None
        self._codec = codec
        self._admission = admission
        self._log_tail = log_tail
        self._deadlines = deadlines
        self._answers = answers
        self._known_ids = known_ids
        self._questions: deque[_Question] = deque()
        self._asking: list[_Question] = []
        self._wake: asyncio.Future[None] | None = None
        self._acknowledged_now = 0
        self._is_behind = False  # the log may end beyond the tail and beyond `_end`
        self._end = 0  # where the log ended when it was last asked for its end
        self.acknowledged = self.rejected = self.failed = self.duplicates = self.dropped = 0

    def committed(self, requests: Sequence[PendingAppend[Actor]], outcome: Appended | Transient) -> None:
        """Process the writer's report on one batch: notify the subscriptions and each actor, and reply."""
        if isinstance(outcome, Transient):
            self._is_behind = self._is_behind or isinstance(outcome, OutcomeUnknown)
            for request in requests:
                request.actor.outcome_known(request, outcome)
        else:
            # Update the tail first: a reply that depends on these events carries the end of the log that includes them.
            self._log_tail.advance(requests, outcome)
            self._tell_actors(requests, outcome.outcomes)
        # Acknowledgements are sent only from here, so they are counted once per batch.
        count, self._acknowledged_now = self._acknowledged_now, 0
        self.acknowledged += count
        self._admission.answered(count)
        self._deadlines.sweep()
        self._let_others_in(requests)

    def _tell_actors(self, requests: Sequence[PendingAppend[Actor]], outcomes: Sequence[AppendOutcome]) -> None:
        acknowledged = len(requests)
        add_answer: Callable[[Any], None] = self._answers.adder()
        for request, position in zip(requests, outcomes, strict=True):
            actor = request.actor
            # `outcome_known` and `acknowledge`, inlined: hot path.
            if actor.pending == [request] and type(position) is int and actor.status is not _RECOVERING:
                actor.pending = None
            elif not actor.outcome_known(request, position):
                acknowledged -= 1
                continue
            envelope = request.envelope
            future = envelope.future
            if future is not None:
                decided = request.decided
                count = len(decided)
                version = request.expected_version + count
                last: int = position + count - 1  # type: ignore[operator]
                try:
                    set_result(future, Ack(envelope.to, version, last, decided, envelope.command_id))
                    add_answer(future)
                except asyncio.InvalidStateError:
                    pass  # its caller has left; to check that first would cost as much as the reply
            if request.followers is not None or request.snapshot is not None:
                actor.acknowledged(request)
        self._acknowledged_now += acknowledged

    def _let_others_in(self, requests: Sequence[PendingAppend[Actor]]) -> None:
        if self._admission.somebody_waits_for_a_mailbox:
            for request in requests:
                self._admission.mail_taken(request.actor)

    def acknowledge(self, request: PendingAppend[Actor], position: int) -> None:
        """Reply to a command whose events are durable."""
        self._acknowledged_now += 1
        envelope = request.envelope
        future = envelope.future
        if future is not None and not future.done():
            count = len(request.events)
            version = request.expected_version + count
            future.set_result(Ack(envelope.to, version, position + count - 1, request.decided, envelope.command_id))

    def answer(self, envelope: Envelope, outcome: Any) -> None:
        """Send the final reply to an envelope."""
        future = envelope.future
        if outcome is None:
            self.dropped += 1
        elif isinstance(outcome, Rejected):
            self.rejected += 1
        elif envelope.handler is None:
            pass  # a read is not counted, even if there is nothing to read
        elif isinstance(outcome, BaseException):
            self.failed += 1
        else:
            self.acknowledged += 1
        self._admission.answered(1)
        if future is None:
            if isinstance(outcome, BaseException):
                log.warning("command_unanswered", command=_shown(envelope), error=text_of(outcome))
        elif not future.done():
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self._deadlines.sweep()

    def answer_unwritten(self, envelope: Envelope, outcome: Any) -> None:
        """Reply to a command that wrote nothing, unless its id took effect before."""
        is_sure = not self._is_behind and (self._shared is None or self._shared.holds_lease)
        if is_sure and (envelope.fresh or envelope.handler is None):
            if type(outcome) is Ack:
                outcome = self._with_position(outcome)
            self.answer(envelope, outcome)
        else:
            self._ask(_Question(envelope, outcome, None))

    def answer_duplicate(self, envelope: Envelope, first_effect: CommandRecord) -> None:
        """Reply to a command whose id took effect before with that first effect."""
        self._known_ids.one_found()
        self._ask(_Question(envelope, None, first_effect))

    def fail_questions(self, error: Exception) -> None:
        """Fail the commands whose ids are still to be looked up, because an error prevents the look-up."""
        for question in (*self._asking, *self._questions):
            if not question.answered:
                self.answer(question.envelope, _failure(question, error))
        self._asking.clear()
        self._questions.clear()

    def _ask(self, question: _Question) -> None:
        self._questions.append(question)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def run(self) -> None:
        """Look up command ids in the log until cancelled, several at a time."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._questions:
                self._wake = loop.create_future()
                await self._wake
                self._wake = None
            questions = self._questions
            self._asking = [questions.popleft() for _ in range(min(len(questions), LOOK_UPS_AT_ONCE))]
            known = [one for one in self._asking if one.record is not None]
            if len(known) > 1:
                await self._answer_first_effects(known)
            await asyncio.gather(*(self._look_up(one) for one in self._asking if not one.answered))

    async def _look_up(self, question: _Question) -> None:
        if question.record is not None:
            await self._answer_first_effect(question.envelope, question.record)
        else:
            await self._answer_if_new(question)
        question.answered = True

    async def _answer_first_effects(self, questions: Sequence[_Question]) -> None:
        """Reply with the first effects whose events one read returns; the others are read one by one."""
        records = [one.record for one in questions if one.record is not None]
        reads = [StreamRead(one.stream, one.first_version - 1, one.version - one.first_version + 1) for one in records]
        try:
            pages = await self._store.read_streams(reads)
        except BaseException as raised:
            let_through(raised)
            return
        for question, record, page in zip(questions, records, pages, strict=True):
            if len(page.events) == record.version - record.first_version + 1:
                await self._answer_first_effect(question.envelope, record, page.events)
                question.answered = True

    async def _answer_if_new(self, question: _Question) -> None:
        envelope, outcome = question.envelope, question.outcome
        try:
            record = (
                None
                if question.is_new
                else (await self._store.find_commands([envelope.command_id])).get(envelope.command_id)
            )
            if self._shared is not None and record is None:
                await self._shared.confirm_lease()
            if self._is_behind:
                self._is_behind = False
                await self._find_end()
        except BaseException as raised:
            let_through(raised)
            self.answer(envelope, _failure(question, raised))
            return
        if record is None:
            self.answer(envelope, self._with_position(outcome) if type(outcome) is Ack else outcome)
        else:
            await self._answer_first_effect(envelope, record)

    async def _answer_first_effect(
        self, envelope: Envelope, record: CommandRecord, found: Sequence[EncodedRecord] = ()
    ) -> None:
        """Reply with the first effect of a command; `found` are its events if they were read."""
        self.duplicates += 1
        is_same = record.fingerprint == envelope.fingerprint
        if is_narrow(record.fingerprint):
            is_same = record.stream.id == envelope.to
        if not is_same:
            self.answer(envelope, _conflict(envelope, record))
            return
        events: list[Event] = []
        version = record.first_version - 1
        try:
            while version < record.version:
                if not found:
                    read = StreamRead(record.stream, version, record.version - version)
                    (page,) = await self._store.read_streams([read])
                    found = page.events
                    assert found, f"{record.stream} ends before a command's version {record.version}"
                events += (event for one in found for event in self._codec.decode(one))
                version += len(found)
                found = ()
        except BaseException as raised:
            let_through(raised)
            self.answer(envelope, _unknown(envelope, raised))
            return
        self.answer(
            envelope,
            Ack(record.stream.id, record.version, record.position, tuple(events), envelope.command_id, duplicate=True),
        )

    async def _find_end(self) -> None:
        try:
            self._end = (await self._store.head()).position
        except BaseException:
            self._is_behind = True
            raise

    def _with_position(self, ack: Ack) -> Ack:
        return Ack(ack.stream_id, ack.version, max(self._log_tail.position, self._end), (), ack.command_id)


def _conflict(envelope: Envelope, record: CommandRecord) -> CommandConflict:
    place = f"{record.stream} version {record.version}"
    if record.fingerprint == NOT_DONE:
        return CommandConflict(
            f"command_id {envelope.command_id!r} was recorded as not done ({place}): it can no longer take effect"
        )
    return CommandConflict(
        f"command_id {envelope.command_id!r} was already used for a different command ({place}): give "
        f"{_shown(envelope)} its own id"
    )


def _shown(envelope: Envelope) -> str:
    return f"{type(envelope.command).__name__} to {envelope.to!r}"


def _failure(question: _Question, error: BaseException) -> BaseException:
    return error if question.is_new else _unknown(question.envelope, error)


def _unknown(envelope: Envelope, error: BaseException) -> ActoriumError:
    if isinstance(error, DamagedLog):
        return error
    unknown = CommitUnknown(f"cannot find out whether {_shown(envelope)} took effect before: {repr_of(error)}")
    unknown.__cause__ = error
    return unknown
