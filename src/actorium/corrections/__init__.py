"""The way back from a wrong event: what it touched, what would differ without it, and how it is corrected."""

from actorium.corrections.corrections import Corrections
from actorium.corrections.impact.report import (
    Impact,
    TouchedEvent,
    TouchedFollower,
    TouchedProjection,
    TouchedStream,
)
from actorium.corrections.impact.selection import Selection

__all__ = [
    "Corrections",
    "Impact",
    "Selection",
    "TouchedEvent",
    "TouchedFollower",
    "TouchedProjection",
    "TouchedStream",
]
