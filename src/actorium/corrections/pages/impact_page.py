"""`impact_page`: the report of an impact as one self-contained HTML page."""

from __future__ import annotations

from typing import Any

from actorium.corrections.impact.report import Impact, TouchedProjection
from actorium.pages.render import render

_STREAMS_MAX = 1_000


def impact_page(impact: Impact) -> str:
    """Return the page of an impact."""
    return render(
        __package__,
        "impact.html",
        impact=impact,
        counts=[(name, f"{number:,}") for name, number in impact.counts().items()],
        tree=list(impact.tree()),
        services=[line for one in impact.services for line in one.lines()],
        followers=[(one.kind, one.name, one.events, one.handled) for one in impact.followers],
        projections=[_projection_row(one) for one in impact.projections],
        streams=[
            (f"{one.type}<{one.id}>", one.kind, one.events, one.later, one.status)
            for one in impact.streams[:_STREAMS_MAX]
        ],
    )


def _projection_row(one: TouchedProjection) -> tuple[Any, ...]:
    rows = ", ".join(f"{len(keys)} of {table}" for table, keys in one.rows.items())
    return f"{one.name} version {one.version}", one.events, one.handled, rows, one.statements
