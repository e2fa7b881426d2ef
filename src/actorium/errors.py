"""Every error that Actorium raises on purpose, in a tree that says what the caller can do.

    ActoriumError
    ├── ConfigurationError   fix the program          UnsupportedSchema
    ├── InvalidCommand       fix the input            PositionBeyondLog
    ├── Refused              the answer is no         Rejected, NotFound, AlreadyExists, CommandConflict, NotAllowed,
    │                                                 DuplicateCommand
    ├── LostRace             read again, decide again WrongExpectedVersion, WrongSequence
    ├── HandlerFailed        fix a handler            CommandFailed, QueryFailed, StatementFailed
    ├── Transient            send again later, with the same command_id
    │   ├── Unavailable      nothing was done         Overloaded, StoreUnavailable, StoreInUse (Fenced), RuntimeClosed,
    │   │                                             ServiceUnavailable, FollowerElsewhere, NewerCodeNeeded
    │   └── OutcomeUnknown   may have happened        CommandTimeout, CommitUnknown, StoreHangs, QueryTimeout,
    │                                                 EventParked, SagaTimeout
    └── DamagedLog           stop and look            UnreadableEvent (CorruptEvent, VersionGap, UnknownEventType,
                                                      UpcastFailed), UnreadableTypes, CorruptRow, CorruptStore,
                                                          HydrationFailed

Each class has an `http_status`.
"""

from actorium.actors.errors import (
    AlreadyExists,
    CommandConflict,
    CommandFailed,
    HydrationFailed,
    NotAllowed,
    NotFound,
    Rejected,
)
from actorium.runtime.errors import (
    CommandTimeout,
    EventParked,
    FollowerElsewhere,
    NewerCodeNeeded,
    Overloaded,
    QueryFailed,
    QueryTimeout,
    RuntimeClosed,
    ServiceUnavailable,
    WrongSequence,
)
from actorium.sagas.errors import SagaTimeout
from actorium.store.error_wire import ErrorWire, error_from_wire, error_to_wire
from actorium.store.errors import (
    ActoriumError,
    CommitUnknown,
    ConfigurationError,
    CorruptEvent,
    CorruptRow,
    CorruptStore,
    DamagedLog,
    DuplicateCommand,
    Fenced,
    HandlerFailed,
    InvalidCommand,
    LostRace,
    OutcomeUnknown,
    PositionBeyondLog,
    Refused,
    StatementFailed,
    StoreHangs,
    StoreInUse,
    StoreUnavailable,
    Transient,
    Unavailable,
    UnknownEventType,
    UnreadableEvent,
    UnreadableTypes,
    UnsupportedSchema,
    UpcastFailed,
    VersionGap,
    WrongExpectedVersion,
)

__all__ = [
    "ActoriumError",
    "AlreadyExists",
    "CommandConflict",
    "CommandFailed",
    "CommandTimeout",
    "CommitUnknown",
    "ConfigurationError",
    "CorruptEvent",
    "CorruptRow",
    "CorruptStore",
    "DamagedLog",
    "DuplicateCommand",
    "ErrorWire",
    "EventParked",
    "Fenced",
    "FollowerElsewhere",
    "HandlerFailed",
    "HydrationFailed",
    "InvalidCommand",
    "LostRace",
    "NewerCodeNeeded",
    "NotAllowed",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "PositionBeyondLog",
    "QueryFailed",
    "QueryTimeout",
    "Refused",
    "Rejected",
    "RuntimeClosed",
    "SagaTimeout",
    "ServiceUnavailable",
    "StatementFailed",
    "StoreHangs",
    "StoreInUse",
    "StoreUnavailable",
    "Transient",
    "Unavailable",
    "UnknownEventType",
    "UnreadableEvent",
    "UnreadableTypes",
    "UnsupportedSchema",
    "UpcastFailed",
    "VersionGap",
    "WrongExpectedVersion",
    "WrongSequence",
    "error_from_wire",
    "error_to_wire",
]
