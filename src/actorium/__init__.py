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
from actorium.runtime.errors import CommandTimeout, MailboxFull, RuntimeClosed
from actorium.runtime.history import Change
from actorium.runtime.runtime import Runtime
from actorium.runtime.settings import Settings
from actorium.runtime.statistics import RuntimeStatistics
from actorium.runtime.subscriptions import Subscription
from actorium.store.errors import (
    ActoriumError,
    ConfigurationError,
    CorruptEvent,
    StoreError,
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
from actorium.store.event_store import EventStore
from actorium.store.events import Event, Metadata, RecordedEvent
from actorium.store.upcasting import upcast

__all__ = [
    "Ack",
    "ActoriumError",
    "Aggregate",
    "AlreadyExists",
    "Change",
    "Command",
    "CommandConflict",
    "CommandFailed",
    "CommandTimeout",
    "ConfigurationError",
    "CorruptEvent",
    "Envelope",
    "Event",
    "EventStore",
    "HydrationFailed",
    "MailboxFull",
    "Metadata",
    "NotFound",
    "Passivation",
    "RecordedEvent",
    "Rejected",
    "Runtime",
    "RuntimeClosed",
    "RuntimeStatistics",
    "Settings",
    "Snapshots",
    "StoreError",
    "StoreInUse",
    "StoreUnavailable",
    "Subscription",
    "UnknownEventType",
    "UnreadableEvent",
    "UnreadableTypes",
    "UnsupportedSchema",
    "UpcastFailed",
    "VersionGap",
    "WrongExpectedVersion",
    "create",
    "decide",
    "evolve",
    "upcast",
]
