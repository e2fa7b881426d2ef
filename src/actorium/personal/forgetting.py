"""Forgetting a subject: its key is destroyed, and an event says so.

Each subject that was forgotten has a stream of its own in the log, `actorium.forgotten<subject>`.
"""

from __future__ import annotations

from actorium.actors.aggregate import Aggregate, decide, evolve
from actorium.actors.commands import Ack, Command, checked_id
from actorium.actors.envelope import Envelope
from actorium.runtime.commands.read_only import refuse_to_write
from actorium.runtime.engine import Engine
from actorium.runtime.environment import RuntimeEnvironment
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event

FORGOTTEN_STREAM = "actorium.forgotten"


class _RecordForgotten(Command):
    key: str


class SubjectForgotten(Event):
    """The key of a subject was destroyed: its personal data up to here cannot be read any more.

    Delete what projections keep of it in plain text.

    subject: whom the data was about.
    key: the id of the destroyed key; empty if there was none.
    """

    event_type = "actorium.subject_forgotten"

    subject: str
    key: str


class ForgottenSubject(Aggregate):
    """A subject that was forgotten, perhaps several times."""

    stream_type = FORGOTTEN_STREAM

    times: int = 0

    @decide
    def record(self, command: _RecordForgotten) -> SubjectForgotten:
        return SubjectForgotten(self.id, command.key)

    @evolve
    def forgotten(self, event: SubjectForgotten) -> None:
        self.times += 1


async def forget(engine: Engine, environment: RuntimeEnvironment, subject: str, timeout_s: float) -> Ack:
    """Destroy the key of a subject and record that, as `Runtime.forget` does."""
    if environment.read_only:
        refuse_to_write("forgetting a subject")
    if environment.keys is None:
        raise ConfigurationError(f"forget({subject!r}): no event or command of this application has a Personal field")
    key = await environment.keys.forget(checked_id(subject, "subject"))
    command = _RecordForgotten(subject, key)
    handler = engine.kinds[ForgottenSubject].definition.handlers[_RecordForgotten]
    new_id = environment.source.new_id()
    return await engine.dispatcher.ask(
        Envelope(FORGOTTEN_STREAM, subject, command, handler, command_id=new_id, timeout_s=timeout_s)
    )
