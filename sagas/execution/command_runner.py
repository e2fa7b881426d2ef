"""`CommandRunner`: sends one command of an intent until its outcome is known and recorded.

It contains what saga steps and submissions have in common; `StepRunner` and `SubmissionRunner` add the rest. Every
command has an id derived from its intent, so it takes effect once even if it is sent again after a crash or a timeout.

The fact that a command did not take effect is recorded under the command's own id. So one append decides: if the
command took effect first, the append is refused as a duplicate; if not, no copy of the command that is still on its way
can take effect.

After an error that does not concern the intent's owner (no room, no reply, an unavailable store), the command is
retried without limit.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from actorium.actors.commands import Ack, Command, CommandHandler
from actorium.actors.envelope import Envelope
from actorium.actors.errors import CommandConflict, CommandFailed, Rejected
from actorium.actors.fingerprint import NOT_DONE
from actorium.runtime.commands.answer_batch import Answer, Take
from actorium.runtime.errors import Overloaded, RuntimeClosed
from actorium.runtime.retry import Retry
from actorium.sagas.execution.services import Services
from actorium.sagas.model.events import IssuedCommand
from actorium.sagas.model.intents import Intent, IntentKey
from actorium.sagas.model.recording import command_of
from actorium.store.codec import decode_metadata
from actorium.store.error_wire import plain
from actorium.store.errors import ActoriumError, Refused, Transient
from actorium.store.events import as_json
from actorium.store.log import logger
from actorium.store.names import StreamName, event_id
from actorium.store.raised import error_text, let_through, repr_of, text_of

log = logger("actorium.sagas")

_DETAIL_BYTES_MAX = 4_000
_TRANSIENT_RETRY = Retry(attempts=3, backoff_s=0.05, backoff_max_s=5.0)
# The outcome of a step in another service is not known until that service answers.
_VOID_RETRY = Retry(attempts=1, backoff_s=0.2, backoff_max_s=5.0)


class Report(NamedTuple):
    """A report to the owner of an intent about one command.

    outcome: the report, as a command for the owner.
    cause: the id of the event that it follows from.
    taken_id: the id of a command that did not happen, under which this is recorded. Other reports have no id: the owner
        knows what it still waits for.
    service: the service whose command did not happen; it records that first. Empty for a command of this runtime.
    """

    outcome: Any
    cause: str
    taken_id: str = ""
    service: str = ""


class CommandRunner(ABC):
    """The policy of an `IntentRunner`: how commands are sent and retried, and who gets their outcome.

    handlers: the commands that report to the streams that own the intents.
    """

    # The delay after an attempt that does not count.
    patience: Retry

    def __init__(self, services: Services, handlers: Mapping[type[Command], CommandHandler]) -> None:
        self._dispatcher = services.dispatcher
        self._store = services.store
        self._source = services.source
        self._commands = services.commands
        self._send = services.send
        self._accepts = services.accepts
        self._is_stopping = services.is_stopping
        self._timeout_s = services.timeout_s
        self._link = services.link
        self._handlers = handlers

    # --- decided by the kind of intent ----------------------------------------------------------------------------

    @abstractmethod
    async def recorded(self, key: IntentKey) -> Intent | None:
        """Return the open part of an intent, as recorded by its owner; None if the intent is over."""

    @abstractmethod
    def retry_of(self, key: IntentKey, intent: Intent) -> Retry:
        """Return the retry policy for those attempts of a command that count."""

    @abstractmethod
    def counts(self, error: Exception) -> bool:
        """Return whether an error uses up an attempt."""

    @abstractmethod
    def outcome(self, key: IntentKey, index: int, error: BaseException | None, attempts: int) -> Command:
        """Return the report to the owner about one command of an intent, after this number of attempts."""

    @abstractmethod
    def broken(self, key: IntentKey, trouble: ActoriumError) -> Command | None:
        """Return the report to the owner if its own code fails on the first report; None to repeat that one."""

    def is_final(self, key: IntentKey, intent: Intent, error: Exception) -> bool:
        """Return whether an error is final, so that further attempts would fail in the same way."""
        return isinstance(error, Refused)

    async def effect(self, key: IntentKey, intent: Intent) -> None:
        """Carry out an external effect, and report it."""
        raise AssertionError(f"{key}: only a saga's step has an effect")

    async def past_deadline(self, key: IntentKey) -> bool:
        """Report the end of an intent whose deadline has passed; return False if the deadline has moved."""
        raise AssertionError(f"{key}: only a saga's step has a deadline")

    # --- commands -------------------------------------------------------------------------------------------------

    def offer(self, key: IntentKey, intent: Intent, index: int, take: Take, about: Any) -> Answer | None:
        """Send one command immediately, with `take` for its reply; None if `command` must send it or find the error."""
        issued = intent.commands[index]
        command_class = self._commands.get(issued.type)
        if command_class is None or self._accepts is None or not self._accepts():
            return None
        dispatcher = self._dispatcher
        try:
            envelope = dispatcher.envelope(
                command_of(issued, command_class),
                intent.command_id(key, index),
                None,
                intent.flow_id,
                intent.causation_id,
                intent.headers,
                self._timeout_s,
            )
            envelope.fresh = intent.is_new
            return dispatcher.ask_nowait(envelope, take, about)
        except (ActoriumError, msgspec.ValidationError):
            return None

    async def command(self, key: IntentKey, intent: Intent, index: int, error: Exception | None) -> None:
        """Send one command until its outcome is known, then report it; `error` is the error of its first attempt."""
        retry = self.retry_of(key, intent)
        attempt, uncounted = 1, 0
        ack: Ack | None = None
        if error is None or isinstance(error, CommandConflict):
            ack, error = await self._attempt(key, intent, index)
        while error is not None and not self.is_final(key, intent, error):
            # The traceback of a transient error names only functions of the runtime.
            is_traced = not isinstance(error, Transient)
            if not self.counts(error):
                uncounted += 1
                wait_s = self.patience.wait_s(uncounted, self._source)
            elif attempt < retry.attempts:
                wait_s = retry.wait_s(attempt, self._source)
                attempt += 1
            else:
                attempt_failed(key, error, attempt + uncounted, None, is_traced=is_traced)
                break
            if not isinstance(error, Overloaded):  # there would be a line for each, just when there are too many
                attempt_failed(key, error, attempt + uncounted - 1, wait_s, is_traced=is_traced)
            await asyncio.sleep(wait_s)
            ack, error = await self._attempt(key, intent, index)
        await self.report(key, intent, self.report_of(key, intent, index, ack, error, attempt + uncounted))

    async def _is_own(self, key: IntentKey, intent: Intent, index: int) -> bool:
        """Return whether the command that took effect under this id was sent by this owner."""
        id = intent.command_id(key, index)
        record = (await self._store.find_commands([id])).get(id)
        owner = StreamName(key.owner, key.id)
        if record is None or record.stream == owner:  # the owner recorded that the command did not happen
            return False
        (event,) = await self._store.read_log(record.position - 1, 1)
        return decode_metadata(event.metadata).cause == owner

    def report_of(
        self, key: IntentKey, intent: Intent, index: int, ack: Ack | None, error: Exception | None, attempts: int
    ) -> Report:
        """Return the report on one command of an intent, after this number of attempts.

        A command that failed is reported under its own id, even if it was rejected: a copy of it may be on its way.
        """
        # If the id belongs to a different command, there is nothing to take.
        takes_id = error is not None and not isinstance(error, CommandConflict)
        taken_id = intent.command_id(key, index) if takes_id else ""
        service = self.service_of(intent.commands[index]) if takes_id else ""
        return Report(self.outcome(key, index, error, attempts), self._cause(intent, index, ack), taken_id, service)

    def service_of(self, issued: IssuedCommand) -> str:
        """Return the service that handles a command; empty for this runtime."""
        return self._link.service_of(issued.type) if self._link is not None else ""

    def _cause(self, intent: Intent, index: int, ack: Ack | None) -> str:
        """Return the id of the event that caused an outcome: the command's last event, or else that of the intent."""
        if ack is None or not ack.events or self.service_of(intent.commands[index]):
            return intent.causation_id  # an event of another service has no place in this log
        command_class = self._commands[intent.commands[index].type]
        return event_id(StreamName(self._dispatcher.stream_type_of(command_class), ack.stream_id), ack.version)

    async def _attempt(self, key: IntentKey, intent: Intent, index: int) -> tuple[Ack | None, Exception | None]:
        try:
            ack: Ack = await self._send(
                self._made(intent.commands[index]),
                command_id=intent.command_id(key, index),
                correlation_id=intent.flow_id,
                causation_id=intent.causation_id,
                headers=intent.headers,
            )
        except RuntimeClosed as closed:
            if self._is_stopping():
                raise
            return None, closed  # of another runtime, which middleware asked
        except CommandConflict as conflict:
            if not await self._is_own(key, intent, index):
                return None, conflict
            # Its class has changed since it took effect, and its fingerprint with it; the id is that of this intent.
            command_id = intent.command_id(key, index)
            log.warning("command_found_changed", intent=str(key), command_id=command_id)
            return None, None
        except ActoriumError as trouble:
            return None, trouble
        except BaseException as raised:
            let_through(raised)
            failure = CommandFailed(f"{intent.commands[index].type} failed in middleware: {error_text(raised)}")
            failure.__cause__ = raised
            return None, failure
        return ack, None

    def _made(self, issued: IssuedCommand) -> Command:
        command_class = self._commands.get(issued.type)
        if command_class is None:
            raise CommandFailed(f"no aggregate of this runtime handles {issued.type}: register the one that handles it")
        try:
            return command_of(issued, command_class)
        except BaseException as raised:
            let_through(raised)
            raise CommandFailed(f"{issued.type} was not sent: {text_of(raised)}") from raised

    # --- the owner of an intent -----------------------------------------------------------------------------------

    def report_nowait(self, key: IntentKey, intent: Intent, report: Report, take: Take, about: Any) -> Answer | None:
        """Report to the owner immediately, with `take` for its reply; return None if `report` must do it."""
        return self._dispatcher.ask_nowait(self._envelope(key, intent, report), take, about)

    async def report(self, key: IntentKey, intent: Intent, report: Report) -> None:
        """Report the outcome of a command to the owner; if the log shows that it took effect, report that instead."""
        if not await self.tell(key, intent, report):
            done = msgspec.structs.replace(report.outcome, error="", details={})
            await self.tell(key, intent, Report(done, intent.causation_id))

    async def tell(self, key: IntentKey, intent: Intent, report: Report) -> bool:
        """Send a report to the owner; if the owner's own code fails on it, report that.

        Return False, with nothing recorded, if the id to be taken belongs to a command that took effect.
        """
        if report.service and not await self._voided(key, report):
            return False
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._dispatcher.ask(self._envelope(key, intent, report))
                return True
            except RuntimeClosed:
                raise
            except CommandConflict:
                return False
            except Transient:
                pass
            except ActoriumError as trouble:
                if attempt >= _TRANSIENT_RETRY.attempts:
                    broken = self.broken(key, trouble)
                    if broken is None:
                        raise
                    await self._dispatcher.ask(self._envelope(key, intent, Report(broken, report.cause)))
                    return True
            await asyncio.sleep(_TRANSIENT_RETRY.wait_s(attempt, self._source))

    async def _voided(self, key: IntentKey, report: Report) -> bool:
        """Have another service record that its command did not happen, however long that takes; return False if it did.

        Until it answers, nobody can know: a copy of the command may be on its way, or may have taken effect.
        """
        assert self._link is not None, "a command of another service was sent over a link"
        attempt = 0
        while True:
            try:
                return await self._link.void(report.service, str(report.taken_id), report.cause, self._timeout_s)
            except ActoriumError as trouble:
                if isinstance(trouble, RuntimeClosed) and self._is_stopping():
                    raise
                attempt += 1
                wait_s = _VOID_RETRY.wait_s(attempt, self._source)
                attempt_failed(key, trouble, attempt, wait_s, is_traced=False)
            await asyncio.sleep(wait_s)

    async def _state(self, key: IntentKey) -> Any:
        """Return the current state of an intent's owner."""
        attempt = 0
        while True:
            try:
                return await self._dispatcher.read(key.owner, key.id, self._timeout_s)
            except RuntimeClosed:
                raise
            except Transient:
                attempt += 1
                await asyncio.sleep(_TRANSIENT_RETRY.wait_s(attempt, self._source))

    def _envelope(self, key: IntentKey, intent: Intent, report: Report) -> Envelope:
        outcome, cause, taken_id, _ = report
        return Envelope(
            key.owner,
            key.id,
            outcome,
            self._handlers[type(outcome)],
            command_id=str(taken_id),
            known_fingerprint=NOT_DONE if taken_id else 0,
            fresh=not taken_id,
            correlation_id=intent.flow_id,
            causation_id=cause,
            headers=dict(intent.headers),
            timeout_s=self._timeout_s,
        )


def attempt_failed(
    key: IntentKey, error: BaseException, attempt: int, retry_after_s: float | None, *, is_traced: bool = True
) -> None:
    """Log a failed attempt; without `retry_after_s`, it was the last one. `is_traced` adds the traceback."""
    fields: dict[str, Any] = {"traceback": error} if is_traced else {}
    log.warning(
        "attempt_failed",
        intent=str(key),
        attempt=attempt,
        error=error_text(error),
        retry_after_s=None if retry_after_s is None else round(retry_after_s, 3),
        **fields,
    )


def said(error: BaseException | None) -> tuple[str, dict[str, Any]]:
    """Return an error as it is recorded: its reason, and details that JSON can represent."""
    if error is None:
        return "", {}
    if isinstance(error, Rejected):
        # A user's subclass may have left out both.
        return text_of(getattr(error, "reason", error)), _recorded_details(getattr(error, "details", None))
    return error_text(error), {}


def _recorded_details(details: object) -> dict[str, Any]:
    """Return the details of a rejection as JSON values; large ones are truncated."""
    found: dict[str, Any] = {}
    if not isinstance(details, dict):
        return found
    for name, value in details.items():
        one = plain(value)
        found[text_of(name)] = one if len(as_json(one)) <= _DETAIL_BYTES_MAX else repr_of(one)
    return found
