"""`Operators`: the record of what people do to a running application: `runtime.operators`.

Each person has a stream of their own in the log, `actorium.operator<name>`. An action is recorded before it is carried
out, so that nothing happens unrecorded, and its outcome afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actorium.actors.aggregate import Aggregate, decide, evolve
from actorium.actors.commands import Ack, Command, checked_id, checked_text
from actorium.actors.envelope import Envelope
from actorium.runtime.engine import Engine
from actorium.store.errors import InvalidCommand
from actorium.store.events import Event
from actorium.store.source import Source

OPERATOR = "actorium.operator"


class _Act(Command):
    action: str
    targets: tuple[str, ...]
    reason: str


class _EndAction(Command):
    acted_version: int
    error: str


class OperatorActed(Event):
    """A person asked for an action on these targets, for this reason."""

    event_type = "operator.acted"

    action: str
    targets: tuple[str, ...]
    reason: str


class OperatorActionEnded(Event):
    """The action recorded at a version of this stream was carried out, or failed with an error."""

    event_type = "operator.action_ended"

    acted_version: int
    error: str


class OperatorStream(Aggregate):
    """What one person did."""

    stream_type = OPERATOR

    actions: int = 0

    @decide
    def act(self, command: _Act) -> OperatorActed:
        return OperatorActed(command.action, command.targets, command.reason)

    @decide
    def end(self, command: _EndAction) -> OperatorActionEnded:
        return OperatorActionEnded(command.acted_version, command.error)

    @evolve
    def acted(self, event: OperatorActed) -> None:
        self.actions += 1

    @evolve
    def ended(self, event: OperatorActionEnded) -> None: ...


class Operators:
    """The record of what operators do.

    Every method raises RuntimeClosed while the runtime is not running.
    """

    def __init__(self, running: Callable[[], Engine], source: Source, timeout_s: float) -> None:
        self._running = running
        self._source = source
        self._timeout_s = timeout_s

    async def acts(self, operator: str, action: str, targets: Sequence[str], *, reason: str) -> Ack:
        """Record durably that a person is about to do something.

        operator: the person's name.
        action: what they do, such as "sagas.retry".
        targets: what they do it to.
        reason: why; must not be empty.

        Raises InvalidCommand for an empty name or reason, and the errors of `send`.
        """
        if not checked_text(reason, "reason").strip():
            raise InvalidCommand(f"{action}: an operator's action needs a reason, which is stored with it")
        named = tuple(checked_text(target, "target") for target in targets)
        return await self._ask(_Act(checked_id(operator, "operator"), action, named, reason))

    async def acted(self, operator: str, ack: Ack, *, error: str = "") -> None:
        """Record the outcome of an action.

        ack: what `acts` returned.
        error: why the action failed; empty if it did not.
        """
        await self._ask(_EndAction(operator, ack.version, error))

    async def _ask(self, command: Command) -> Ack:
        engine = self._running()
        kind = engine.kinds[OperatorStream]
        handler = kind.definition.handlers[type(command)]
        new_id = self._source.new_id()
        return await engine.dispatcher.ask(
            Envelope(OPERATOR, command.to, command, handler, command_id=new_id, timeout_s=self._timeout_s)
        )
