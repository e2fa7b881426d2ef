"""`what_if_page`: the differences that a change makes as one self-contained HTML page."""

from __future__ import annotations

from actorium.corrections.what_if.differences import WhatIf
from actorium.pages.render import render

_ROWS_MAX = 2_000


def what_if_page(found: WhatIf) -> str:
    """Return the page of a report."""
    return render(
        __package__,
        "what_if.html",
        found=found,
        facts_=[
            ("events", f"{found.events:,}"),
            ("commands decided again", f"{found.commands:,}"),
            ("commands that could not be rebuilt", f"{found.unknown_commands:,}"),
            ("differences allowed", f"{found.allowed:,}"),
            *((f"differences: {kind}", f"{number:,}") for kind, number in found.counts.items()),
        ],
        rows=[(one.kind, one.where, one.before, one.after) for one in found.differences[:_ROWS_MAX]],
    )
