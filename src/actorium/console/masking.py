"""`Masking`: which values of payloads and states a console shows, and which it hides."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from actorium.console.api.views import DifferenceView

HIDDEN = "•••"


class Masking(msgspec.Struct, frozen=True, kw_only=True):
    """Which values a console shows, by the name of a type, of a field, or `type.field`.

    The type is an event's type, a stream's type or a saga's type; the field is one at the top of the payload or state.
    The most specific entry counts: `type.field`, then the type, then the field. Between two that are equally specific,
    `hidden` counts. A hidden value keeps its structure: names of fields are shown, texts and numbers are not. What
    operators did is never hidden.

    default: for values that no entry is about: "hide" or "show".
    shown: always shown.
    hidden: always hidden.
    """

    default: Literal["hide", "show"] = "hide"
    shown: Collection[str] = ()
    hidden: Collection[str] = ()

    def masked(self, type: str, value: Any) -> tuple[Any, bool]:
        """Return a payload or state, as JSON values, without what is hidden, and whether anything was hidden."""
        if not isinstance(value, dict):
            return (_hidden(value), True) if self._hides(type, "") else (value, False)
        masked = {name: _hidden(one) if self._hides(type, name) else one for name, one in value.items()}
        return masked, masked != value

    def masked_difference(self, type: str, difference: DifferenceView) -> DifferenceView:
        """Return a difference between two states of a type, without what is hidden."""
        field = re.split(r"[.\[]", difference.path, maxsplit=1)[0]
        if not self._hides(type, field):
            return difference
        return DifferenceView(difference.path, _hidden(difference.before), _hidden(difference.after))

    def _hides(self, type: str, field: str) -> bool:
        for name in (f"{type}.{field}", type, field):
            if name in self.hidden:
                return True
            if name in self.shown:
                return False
        return self.default == "hide"


HIDE_ALL = Masking()
"""Hides everything."""

SHOW_ALL = Masking(default="show")
"""Hides nothing."""


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _hidden(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    return None if value is None else HIDDEN
