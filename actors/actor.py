"""`Actor`: the running instance of one aggregate.

Invariants, true between any two awaits (an actor itself never awaits; its turn is one synchronous call):
- `state` and `version` are speculative: they include every event decided so far, committed or not. `pending` holds the
  appends whose outcome is unknown, oldest first. When it is empty, state and log agree;
- every reply that depends on uncommitted events, including a refusal or a read, is attached to the last pending append
  and sent when that append is durable;
- when an append fails, everything decided after it is undone. The actor is RECOVERING until every append in flight has
  an outcome. Then it is hydrated again, and the undone commands are decided again in their original order;
- only the actor's own turn changes `state`; only the host (scheduler, hydrator, replies) calls its methods.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Ack, CommandHandler
from actorium.actors.envelope import Envelope, Mailbox
from actorium.actors.errors import AlreadyExists, CommandFailed, NotFound
from actorium.actors.kind import ActorKind
from actorium.actors.pending import PendingAppend
from actorium.actors.snapshots import SnapshotKeeper
from actorium.actors.status import Status
from actorium.store.errors import ActoriumError, DuplicateCommand, LostRace, Refused, Transient, WrongExpectedVersion
from actorium.store.event_store import AppendOutcome
from actorium.store.events import EncodedEvent, Event, Metadata, as_json
from actorium.store.log import logger
from actorium.store.names import StreamName
from actorium.store.raised import error_text, let_through
from actorium.store.shapes.round_trip import InvalidMessage

log = logger("actorium.actors")

# A decision that keeps losing races means a second writer on the stream: report it instead of retrying without end.
MAX_ATTEMPTS = 3

# An Enum member lookup costs more than a global, and a turn does several.
_READY = Status.READY
_IDLE = Status.IDLE
_RECOVERING = Status.RECOVERING


class Actor:
    """One live aggregate: its state, its mail, and its appends in flight."""

    __slots__ = ("id", "kind", "mailbox", "pending", "state", "status", "used_at", "version")

    def __init__(self, kind: ActorKind[Actor], id: str) -> None:
        self.kind = kind
        self.id = id
        self.state: Any = None
        self.version = 0
        self.status = Status.COLD
        self.mailbox: Mailbox | None = None
        self.pending: list[PendingAppend[Actor]] | None = None
        # The loop time of the last delivery; negative if passivation has looked since. One number, because a million
        # idle actors have one each.
        self.used_at = 0.0

    def __repr__(self) -> str:
        return f"{self.kind.type}<{self.id}@{self.version}>"

    @property
    def stream(self) -> StreamName:
        """The name of the actor's stream."""
        return StreamName(self.kind.type, self.id)

    def is_full(self, limit: int) -> bool:
        """Return whether the mailbox limit is reached, counting undecided and uncommitted commands."""
        return (self.mailbox is not None or self.pending is not None) and self.load >= limit

    @property
    def load(self) -> int:
        """The number of commands delivered to this actor and not answered, without those that follow an append."""
        mailbox, pending = self.mailbox, self.pending
        return (len(mailbox) if mailbox is not None else 0) + (len(pending) if pending is not None else 0)

    # --- the turn -------------------------------------------------------------------------------------------------

    def turn(self, budget: int) -> int:
        """Decide up to `budget` envelopes and return the number taken. The rest wait for the next turn."""
        mailbox = self.mailbox
        taken = 0
        while mailbox and taken < budget and self.status is _READY:
            envelope = mailbox.pop(0)
            taken += 1
            future = envelope.future
            handler = envelope.handler
            if future is not None and future.done():
                self.kind.host.answer(envelope, None)  # its caller left or timed out before the decision
            elif handler is not None:
                if envelope.fresh or not self._is_known(envelope):
                    self._decide(envelope, handler)
            else:
                self._read(envelope)
        if self.status is _READY:
            if mailbox:
                self.kind.host.make_ready(self)
            else:
                self.mailbox = None
                self.status = _IDLE
        return taken

    def _is_known(self, envelope: Envelope) -> bool:
        """Answer a command whose id is in the log, or put it back to look that up; or return False."""
        if envelope.first_effect is not None:
            self.kind.host.answer_duplicate(envelope, envelope.first_effect)
        elif not envelope.is_looked_up and self.kind.host.look_up_ids(self):
            self.mailbox = [envelope, *(self.mailbox or ())]
            self.status = Status.CHECKING
        else:
            return False
        return True

    def _decide(self, envelope: Envelope, handler: CommandHandler) -> None:
        kind, version, state = self.kind, self.version, self.state
        encoded: tuple[EncodedEvent, ...]
        events: tuple[Event, ...]
        try:
            if version == 0 or handler.creates or envelope.expected_version is not None:
                self._require_version(envelope, handler)
            metadata: Metadata | None = None
            if handler.wants_metadata:
                metadata = kind.metadata_of(state, envelope.metadata)
                decided = handler.method(state, envelope.command, metadata)
                metadata_json = as_json(metadata)
            else:
                method = handler.method
                decided = method(state, envelope.command)
                metadata_json = envelope.metadata_json()
            form = kind.forms.get(type(decided))
            if form is not None:
                # One event, the common case, is inlined: the general path costs twice as much.
                name, schema_version, check, evolve = form
                payload = as_json(decided)
                encoded = (EncodedEvent(name, schema_version, payload, metadata_json),)
                events = (event := check(decided, payload),)
                size_bytes = len(payload) + len(metadata_json)
            else:
                encoded, events, size_bytes = self._encode_all(decided, metadata_json)
            if size_bytes > kind.max_payload_bytes:
                raise InvalidMessage(
                    f"its events take {size_bytes} bytes, but the limit max_payload_bytes is {kind.max_payload_bytes}"
                )
        except BaseException as raised:
            if isinstance(raised, Refused | LostRace):
                self._reply_unwritten(envelope, raised)
            else:
                self._command_failed(envelope, "its handler", raised)
            return
        if not events:
            self._reply_unwritten(envelope, None)
            return
        try:
            if form is not None:
                evolve(state, event)
            else:
                for event in events:
                    kind.forms[type(event)][-1](state, event)
        except BaseException as raised:
            self._command_failed(envelope, "the @evolve method for its event", raised)
            self._begin_recovery(withdraw=False)
            return
        self.version = version + len(events)
        request = PendingAppend(
            StreamName(kind.type, self.id),
            version,
            encoded,
            envelope if envelope.command_id else None,
            actor=self,
            envelope=envelope,
            decided=events,
            metadata=metadata,
            size_bytes=size_bytes,
        )
        if kind.snapshots is not None:
            self._take_snapshot(request, kind.snapshots)
        pending = self.pending
        if pending is None:
            self.pending = [request]
        else:
            pending.append(request)
        enqueue = kind.host.enqueue  # CPython 3.11 calls attributes that are not methods slowly
        enqueue(request)

    def _require_version(self, envelope: Envelope, handler: CommandHandler) -> None:
        """Raise NotFound, AlreadyExists or WrongExpectedVersion if a command is not for the current version."""
        version = self.version
        if version == 0:
            if self.kind.has_create and not handler.creates:
                raise NotFound(f"{self!r} does not exist: {_name(envelope)} needs an existing one")
        elif handler.creates:
            raise AlreadyExists(f"{self!r} already exists: {_name(envelope)} can only create a new one")
        if envelope.expected_version is not None and envelope.expected_version != version:
            raise WrongExpectedVersion(self.stream, expected=envelope.expected_version, actual=version)

    def _take_snapshot(self, request: PendingAppend[Actor], snapshots: SnapshotKeeper) -> None:
        """Attach a snapshot to an append if one is due and none is in flight."""
        if snapshots.is_due(self.state, request.expected_version, self.version) and not any(
            earlier.snapshot is not None for earlier in self.pending or ()
        ):
            request.snapshot = snapshots.take(request.stream, self.state, self.version)

    def _encode_all(
        self, decided: Event | Iterable[Event] | None, metadata_json: bytes
    ) -> tuple[tuple[EncodedEvent, ...], tuple[Event, ...], int]:
        """Return the events of a decision as stored and as a replay will see them, and their size in bytes."""
        if decided is None:
            return (), (), 0
        if isinstance(decided, Event):
            decided = (decided,)  # of a class that nothing evolves: `encode` says so
        encode = self.kind.codec.encode
        encoded, events = [], []
        size_bytes = 0
        for event in decided:
            one, copy_of_it = encode(event, metadata_json)
            encoded.append(one)
            events.append(copy_of_it)
            size_bytes += len(one.payload) + len(metadata_json)  # which is stored with each
        return tuple(encoded), tuple(events), size_bytes

    def _read(self, envelope: Envelope) -> None:
        if self.version == 0:
            self._reply(envelope, NotFound(f"{self.kind.type}<{self.id}> does not exist: its stream is empty"))
            return
        try:
            state = copy.deepcopy(self.state)
        except BaseException as raised:
            self._failed(envelope, f"{self!r} cannot be copied for a reader", raised)
        else:
            self._reply(envelope, state)

    def _command_failed(self, envelope: Envelope, where: str, raised: BaseException) -> None:
        self._failed(envelope, f"{_name(envelope)} on {self!r} failed in {where}", raised)

    def _failed(self, envelope: Envelope, what: str, raised: BaseException) -> None:
        """Reply with the failure of user code; then let an interruption reach the event loop."""
        failure = CommandFailed(f"{what}: {error_text(raised)}")
        failure.__cause__ = raised
        log.error("command_failed", error=failure.message, traceback=raised)
        self._reply(envelope, failure)
        let_through(raised)

    def _reply_unwritten(self, envelope: Envelope, refusal: ActoriumError | None) -> None:
        """Answer a command without events: with its refusal, or with an empty Ack."""
        self._reply(envelope, refusal or Ack(self.id, self.version, 0, (), envelope.command_id))

    def _reply(self, envelope: Envelope, outcome: Any) -> None:
        """Send a reply that depends on the decided state: now, or when that state is durable."""
        if self.pending:
            last = self.pending[-1]
            if last.followers is None:
                last.followers = []
            last.followers.append((envelope, outcome))
        else:
            self.kind.host.answer_unwritten(envelope, outcome)

    # --- outcomes -------------------------------------------------------------------------------------------------

    def outcome_known(self, request: PendingAppend[Actor], outcome: AppendOutcome | Transient) -> bool:
        """Handle the outcome of the oldest pending append; return whether the caller must acknowledge it now."""
        pending = self.pending
        assert pending, "an outcome without a pending append"
        if type(outcome) is int and self.status is not _RECOVERING:
            if len(pending) == 1:
                self.pending = None
            else:
                del pending[0]
            return True
        request.outcome = outcome
        if self.status is not _RECOVERING:
            if isinstance(outcome, WrongExpectedVersion):
                request.envelope.attempts += 1
            self._begin_recovery(withdraw=True)
        elif request.ends_recovery:
            self._end_recovery()
        return False

    def acknowledged(self, request: PendingAppend[Actor]) -> None:
        """Send the replies, and write the snapshot, that waited for an append to be durable."""
        host = self.kind.host
        if request.snapshot is not None:
            host.save_snapshot(request.snapshot)
        if request.followers is not None:
            for envelope, outcome in request.followers:
                host.answer_unwritten(envelope, outcome)

    def _begin_recovery(self, *, withdraw: bool) -> None:
        """Discard the speculative state; continue when every append in flight has an outcome."""
        assert self.status is not _RECOVERING, f"{self!r} is already recovering"
        self.status = Status.RECOVERING
        self.state = None
        host = self.kind.host
        last = None
        for request in self.pending or ():
            if withdraw and not host.is_in_flight(request):
                host.withdraw(request)
            elif request.outcome is None:
                last = request
        if last is None:
            self._end_recovery()
        else:
            last.ends_recovery = True

    def _end_recovery(self) -> None:
        pending, self.pending = self.pending or [], None
        if any(request.outcome is None and not request.withdrawn for request in pending):
            # The append still waited for the writer when a second failure came: it is now withdrawn, not in flight.
            raise AssertionError(f"{self!r} ended its recovery with an append in flight")
        undone: list[Envelope] = []
        for request in pending:
            if type(request.outcome) is int:
                self.kind.host.acknowledge(request, request.outcome)
                self.acknowledged(request)
                continue
            self._undo(request, undone)
            undone.extend(envelope for envelope, _ in request.followers or ())
        self.mailbox = [*undone, *(self.mailbox or ())]
        if self.mailbox:
            self.status = Status.HYDRATING
            self.kind.host.hydrate(self)
        else:
            self.passivate()

    def _undo(self, request: PendingAppend[Actor], undone: list[Envelope]) -> None:
        """Answer the command of a failed append, or schedule it to be decided again."""
        host, envelope, outcome = self.kind.host, request.envelope, request.outcome
        if isinstance(outcome, DuplicateCommand):
            host.answer_duplicate(envelope, outcome.record)
        elif isinstance(outcome, WrongExpectedVersion) and envelope.attempts < MAX_ATTEMPTS:
            undone.append(envelope)
        elif isinstance(outcome, ActoriumError):
            host.answer(envelope, outcome)
        else:
            undone.append(envelope)  # withdrawn before it was sent

    def ids_looked_up(self) -> None:
        """Go on with the mail whose command ids were looked up."""
        if self.status is Status.CHECKING:
            self.status = _READY
            self.kind.host.make_ready(self)

    # --- life -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Go live without a read, because the stream is known to be empty."""
        assert self.status is Status.COLD, f"{self!r} began while {self.status.value}"
        self.state = self.kind.aggregate_class(self.id)
        self.status = Status.IDLE

    def hydrated(self, state: Aggregate, version: int) -> None:
        """Go live with the state read from the stream."""
        assert self.status is Status.HYDRATING, f"{self!r} was hydrated while {self.status.value}"
        assert self.pending is None, f"{self!r} was hydrated with an append in flight"
        self.state = state
        self.version = version
        if self.mailbox:
            self.status = _READY
            self.kind.host.make_ready(self)
        else:
            self.mailbox = None
            self.status = Status.IDLE

    def hydration_failed(self, error: ActoriumError, *, status: Status) -> None:
        """Refuse all waiting mail.

        `status` says whether the next command may retry at once (COLD) or not (FAILED).
        """
        assert self.status is Status.HYDRATING, f"{self!r} was hydrated while {self.status.value}"
        mailbox, self.mailbox = self.mailbox, None
        self.status = status
        self.state = None
        for envelope in mailbox or ():
            self.kind.host.answer(envelope, error)

    @property
    def is_idle(self) -> bool:
        """Whether the actor can be dropped without losing anything."""
        # Its status, IDLE, COLD or FAILED, is compared last and by identity: Enum computes hashes in Python.
        if self.mailbox or self.pending:
            return False
        status = self.status
        return status is _IDLE or status is Status.COLD or status is Status.FAILED

    def passivate(self) -> None:
        """Drop the state; the next command reads it from the log."""
        assert not self.mailbox, f"{self!r} was passivated with mail"
        assert not self.pending, f"{self!r} was passivated with an append in flight"
        self.state = None
        self.version = 0
        self.mailbox = None
        self.status = Status.COLD


def _name(envelope: Envelope) -> str:
    return type(envelope.command).__name__
