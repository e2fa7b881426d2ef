"""The way back from a wrong event: what it touched, what would differ without it, and how it is corrected."""

from actorium.actors.aggregate import correct
from actorium.correction_case import AppliedCorrection, CorrectionCase, PlannedCorrection, SkipMark
from actorium.corrections.cases.report import CaseReport, CaseStep
from actorium.corrections.corrections import Corrections
from actorium.corrections.impact.report import (
    Impact,
    TouchedEvent,
    TouchedFollower,
    TouchedProjection,
    TouchedService,
    TouchedStream,
)
from actorium.corrections.impact.selection import Selection
from actorium.corrections.what_if.differences import Difference, WhatIf
from actorium.corrections.what_if.edits import Added, Edits
from actorium.corrections.what_if.questions import what_if, with_code
from actorium.runtime.projections.key_column import KeyColumn

__all__ = [
    "Added",
    "AppliedCorrection",
    "CaseReport",
    "CaseStep",
    "CorrectionCase",
    "Corrections",
    "Difference",
    "Edits",
    "Impact",
    "KeyColumn",
    "PlannedCorrection",
    "Selection",
    "SkipMark",
    "TouchedEvent",
    "TouchedFollower",
    "TouchedProjection",
    "TouchedService",
    "TouchedStream",
    "WhatIf",
    "correct",
    "what_if",
    "with_code",
]
