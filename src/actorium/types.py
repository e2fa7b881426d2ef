"""The types of values that applications receive, for annotations; only tests construct any of them."""

from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.history import Change
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.processors.outlet import CloudEvent
from actorium.runtime.processors.processor import Processor
from actorium.runtime.processors.processor_statistics import ProcessorStatistics
from actorium.runtime.processors.processors import AllDeadLetters, Processors
from actorium.runtime.projections.projection import Query
from actorium.runtime.projections.queries import Watch
from actorium.runtime.statistics import RuntimeStatistics
from actorium.sagas.model.submission_views import SubmissionView
from actorium.sagas.model.views import SagaLine, SagaSummary, SagaView
from actorium.sagas.sagas import Sagas
from actorium.sagas.submissions import Submissions
from actorium.store.event_store import DeadLetter
from actorium.store.events import Metadata

__all__ = [
    "AllDeadLetters",
    "Change",
    "CloudEvent",
    "DeadLetter",
    "DurableSubscription",
    "Metadata",
    "Processor",
    "ProcessorStatistics",
    "Processors",
    "Query",
    "RuntimeStatistics",
    "SagaLine",
    "SagaSummary",
    "SagaView",
    "Sagas",
    "SubmissionView",
    "Submissions",
    "Subscription",
    "Watch",
]
