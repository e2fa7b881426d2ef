"""The names that tests of an application, or of a store adapter, import."""

from actorium.testing.contract import EventStoreContract
from actorium.testing.contract_bus import BusContract
from actorium.testing.contract_cluster import ClusterLogs, ClusterStoreContract
from actorium.testing.contract_shared import SharedLogs, SharedStoreContract
from actorium.testing.given import Given, When, given
from actorium.testing.given_events import GivenEvents, given_events
from actorium.testing.given_saga import GivenSaga, given_saga
from actorium.testing.loop_source import LoopSource

__all__ = [
    "BusContract",
    "ClusterLogs",
    "ClusterStoreContract",
    "EventStoreContract",
    "Given",
    "GivenEvents",
    "GivenSaga",
    "LoopSource",
    "SharedLogs",
    "SharedStoreContract",
    "When",
    "given",
    "given_events",
    "given_saga",
]
