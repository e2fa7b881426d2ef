"""How a check says what it found."""

from __future__ import annotations

from collections.abc import Callable

Violated = Callable[[str, object, object], None]
"""Called with the name of an invariant that does not hold, what should have been, and what was."""
