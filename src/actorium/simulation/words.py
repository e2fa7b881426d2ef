"""Numbers and messages as text, for the terminal and the page."""

from __future__ import annotations

import re
from typing import Final

from actorium.user_code.lines import printed

_MINUTE_S = 60
_HOUR_S = 3_600
_DAY_S = 86_400

_UNSTEADY = (
    "the code reads the machine's clock or random numbers, or iterates over a set of strings, whose order differs "
    "between processes (PYTHONHASHSEED)"
)
UNREPEATABLE: Final = f"this seed behaved differently when it was run again, so it cannot be replayed: {_UNSTEADY}"
UNSTEADY_STORY: Final = f"the details differ in each run of this story: {_UNSTEADY}"

NOTHING_TRIED: Final = "no command was sent and no event written: nothing was tried"


def duration(seconds: float) -> str:
    """Return a time in two units: `3 d 4 h`, `2 h 5 min`, `4 min 30 s`, `12.3 s`."""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S:,} d {whole % _DAY_S // _HOUR_S} h"


def per_minute(count: int, seconds: float) -> int:
    """Return a rate per minute, 0 if no time has passed."""
    return round(count / seconds * _MINUTE_S) if seconds > 0 else 0


def ordinal(number: int) -> str:
    """Return a number as `1st`, `2nd`, `3rd`, `11th`."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def without_addresses(thing: object) -> str:
    """Return a thing as text, without its memory address, which differs in every process."""
    text = printed(thing)
    return re.sub(r" at 0x[0-9a-f]+", "", text) if " at 0x" in text else text  # most have none
