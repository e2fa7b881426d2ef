"""Event-sourced actors and sagas inside an asyncio app: everything that an application imports."""

from actorium.actors.aggregate import Aggregate, create, decide, evolve
from actorium.actors.commands import Ack, Command, Envelope
from actorium.actors.errors import (
    AlreadyExists,
    CommandConflict,
    CommandFailed,
    HydrationFailed,
    NotFound,
    Rejected,
)
from actorium.actors.passivation import Passivation
from actorium.actors.snapshots import Snapshots
from actorium.runtime.errors import CommandTimeout, Overloaded, QueryTimeout, RuntimeClosed
from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.history import Change
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.processors.event_handlers import on
from actorium.runtime.processors.outlet import CloudEvent, Outlet
from actorium.runtime.processors.processor import Processor, ProcessorStatistics
from actorium.runtime.processors.reactions import IdempotencyKey, react
from actorium.runtime.projections.projection import Projection, Query, Reader, Transaction, query
from actorium.runtime.projections.queries import Watch
from actorium.runtime.retry import Retry
from actorium.runtime.settings import Settings
from actorium.runtime.statistics import RuntimeStatistics
from actorium.sagas.errors import SagaTimeout
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.steps import on_rejected, starts, step
from actorium.sagas.model.views import SagaLine, SagaSummary, SagaView
from actorium.sagas.runtime import Runtime
from actorium.store.errors import (
    ActoriumError,
    ConfigurationError,
    CorruptEvent,
    CorruptRow,
    StatementFailed,
    StoreError,
    StoreHangs,
    StoreInUse,
    StoreUnavailable,
    UnknownEventType,
    UnreadableEvent,
    UnreadableTypes,
    UnsupportedSchema,
    UpcastFailed,
    VersionGap,
    WrongExpectedVersion,
)
from actorium.store.event_store import DeadLetter, EventStore
from actorium.store.events import Event, Metadata, RecordedEvent
from actorium.store.upcasting import upcast

__all__ = [
    "Ack",
    "ActoriumError",
    "Aggregate",
    "AlreadyExists",
    "Change",
    "CloudEvent",
    "Command",
    "CommandConflict",
    "CommandFailed",
    "CommandTimeout",
    "ConfigurationError",
    "CorruptEvent",
    "CorruptRow",
    "DeadLetter",
    "DurableSubscription",
    "Envelope",
    "Event",
    "EventStore",
    "HydrationFailed",
    "IdempotencyKey",
    "Metadata",
    "NotFound",
    "Outlet",
    "Overloaded",
    "Passivation",
    "Processor",
    "ProcessorStatistics",
    "Projection",
    "Query",
    "QueryTimeout",
    "Reader",
    "RecordedEvent",
    "Rejected",
    "Retry",
    "Runtime",
    "RuntimeClosed",
    "RuntimeStatistics",
    "Saga",
    "SagaLine",
    "SagaSummary",
    "SagaTimeout",
    "SagaView",
    "Settings",
    "Snapshots",
    "StatementFailed",
    "StoreError",
    "StoreHangs",
    "StoreInUse",
    "StoreUnavailable",
    "Subscription",
    "Transaction",
    "UnknownEventType",
    "UnreadableEvent",
    "UnreadableTypes",
    "UnsupportedSchema",
    "UpcastFailed",
    "VersionGap",
    "Watch",
    "WrongExpectedVersion",
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
