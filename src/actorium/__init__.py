"""Event-sourced actors and sagas inside an asyncio application: the names that an application imports."""

from actorium.actors.aggregate import Aggregate, create, decide, evolve
from actorium.actors.commands import Ack, Command
from actorium.actors.passivation import Passivation
from actorium.actors.snapshots import Snapshots
from actorium.application import Runtime
from actorium.errors import (
    ActoriumError,
    AlreadyExists,
    CommandFailed,
    ConfigurationError,
    DamagedLog,
    InvalidCommand,
    LostRace,
    NotFound,
    OutcomeUnknown,
    Refused,
    Rejected,
    Unavailable,
)
from actorium.runtime.commands.middleware import CommandContext, Middleware, Next
from actorium.runtime.instrument import Instrument
from actorium.runtime.processors.event_handlers import on
from actorium.runtime.processors.outlet import Outlet
from actorium.runtime.processors.reactions import IdempotencyKey, react
from actorium.runtime.projections.projection import Projection, Reader, Transaction, query
from actorium.runtime.projections.tables import Key, Table
from actorium.runtime.retry import Retry
from actorium.runtime.settings import Settings
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.steps import on_rejected, starts, step
from actorium.store.event_store import EventStore
from actorium.store.events import Event, RecordedEvent
from actorium.store.upcasting import upcast

__all__ = [
    "Ack",
    "ActoriumError",
    "Aggregate",
    "AlreadyExists",
    "Command",
    "CommandContext",
    "CommandFailed",
    "ConfigurationError",
    "DamagedLog",
    "Event",
    "EventStore",
    "IdempotencyKey",
    "Instrument",
    "InvalidCommand",
    "Key",
    "LostRace",
    "Middleware",
    "Next",
    "NotFound",
    "OutcomeUnknown",
    "Outlet",
    "Passivation",
    "Projection",
    "Reader",
    "RecordedEvent",
    "Refused",
    "Rejected",
    "Retry",
    "Runtime",
    "Saga",
    "Settings",
    "Snapshots",
    "Table",
    "Transaction",
    "Unavailable",
    "create",
    "decide",
    "evolve",
    "on",
    "on_rejected",
    "query",
    "react",
    "starts",
    "step",
    "upcast",
]
