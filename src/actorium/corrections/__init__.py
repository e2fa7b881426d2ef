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
from actorium.corrections.what_if.differences import Difference, WhatIf
from actorium.corrections.what_if.edits import Added, Edits
from actorium.corrections.what_if.questions import what_if, with_code

__all__ = [
    "Added",
    "Corrections",
    "Difference",
    "Edits",
    "Impact",
    "Selection",
    "TouchedEvent",
    "TouchedFollower",
    "TouchedProjection",
    "TouchedStream",
    "WhatIf",
    "what_if",
    "with_code",
]
