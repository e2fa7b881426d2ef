"""The difference between two states, as paths to the values that changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actorium.console.api.views import DifferenceView

DIFFERENCES_MAX = 200
_ABSENT = object()


def differences(before: Any, after: Any) -> list[DifferenceView]:
    """Return the values that differ between two JSON values, in order, at most `DIFFERENCES_MAX`."""
    found = []
    for difference in _differences("", before, after):
        found.append(difference)
        if len(found) == DIFFERENCES_MAX:
            break
    return found


def _differences(path: str, before: Any, after: Any) -> Iterator[DifferenceView]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            inner = f"{path}.{name}" if path else name
            yield from _differences(inner, before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            pair = [one[index] if index < len(one) else _ABSENT for one in (before, after)]
            yield from _differences(f"{path}[{index}]", *pair)
    elif before is _ABSENT or after is _ABSENT or before != after or type(before) is not type(after):
        yield DifferenceView(path, None if before is _ABSENT else before, None if after is _ABSENT else after)
