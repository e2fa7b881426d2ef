"""Event-sourced actors and sagas inside an asyncio app: everything that an application imports."""

from actorium.actors.aggregate import Aggregate, create, decide, evolve
from actorium.actors.commands import Ack, Command
from actorium.actors.passivation import Passivation
from actorium.actors.snapshots import Snapshots
from actorium.application import Runtime
from actorium.errors import (
    ActoriumError,
    AlreadyExists,
    CommandFailed,
    CommandTimeout,
    ConfigurationError,
    DamagedLog,
    InvalidCommand,
    LostRace,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Refused,
    Rejected,
    Unavailable,
    WrongExpectedVersion,
)
from actorium.runtime.commands.middleware import CommandContext, Middleware, Next
from actorium.runtime.instrument import Instrument
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
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.steps import on_rejected, starts, step
from actorium.sagas.model.submission_views import SubmissionView
from actorium.sagas.model.views import SagaLine, SagaSummary, SagaView
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
    "CommandContext",
    "CommandFailed",
    "CommandTimeout",
    "ConfigurationError",
    "DamagedLog",
    "DeadLetter",
    "DurableSubscription",
    "Event",
    "EventStore",
    "IdempotencyKey",
    "Instrument",
    "InvalidCommand",
    "LostRace",
    "Metadata",
    "Middleware",
    "Next",
    "NotFound",
    "OutcomeUnknown",
    "Outlet",
    "Overloaded",
    "Passivation",
    "Processor",
    "ProcessorStatistics",
    "Projection",
    "Query",
    "Reader",
    "RecordedEvent",
    "Refused",
    "Rejected",
    "Retry",
    "Runtime",
    "RuntimeStatistics",
    "Saga",
    "SagaLine",
    "SagaSummary",
    "SagaView",
    "Settings",
    "Snapshots",
    "SubmissionView",
    "Subscription",
    "Transaction",
    "Unavailable",
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
