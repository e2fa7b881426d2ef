"""`Rules`: what a scenario states of its own domain: what always holds, what is conserved, what comes about at last.

They speak about what is durable, and never take part in the run: what a rule's function raises is told as its own
error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actorium.simulation.checks.finding import Violated
from actorium.simulation.user_lines import described
from actorium.simulation.view import View

_UNSET: Any = object()
_RAISED: Any = object()


class Rule(msgspec.Struct):
    """An invariant of the scenario: of a `kind` (always, conserved, eventually), by name."""

    kind: str
    name: str
    value: Callable[[View], object]
    within_s: float = 0.0
    first: Any = _UNSET


class Rules:
    """The invariants of one node's scenario."""

    def __init__(self, view: View, violated: Violated) -> None:
        self._view = view
        self._violated = violated
        self._always: list[Rule] = []
        self._conserved: list[Rule] = []
        self._eventually: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """Take an invariant; what is conserved has the value of now."""
        if rule.kind == "conserved":
            rule.first = self._value(rule)
        {"always": self._always, "conserved": self._conserved, "eventually": self._eventually}[rule.kind].append(rule)

    def calmed(self) -> None:
        """Take the values that are conserved from here on: what was set up is set up."""
        for rule in self._conserved:
            rule.first = self._value(rule)

    def committed(self) -> None:
        """Look at what always holds, after a commit."""
        for rule in self._always:
            if not self._value(rule):
                self._violated(rule.name, "to hold after every commit", f"not after position {self._view.position}")

    def unmet(self, after_s: float) -> tuple[str, float] | None:
        """Return what is still to come about, and when it has to, in seconds after the faults stopped; None for none.

        What has not come about in its time is a violation.
        """
        waiting = []
        for rule in self._eventually:
            if self._value(rule):
                continue
            if after_s >= rule.within_s:
                self._violated(rule.name, f"to hold {rule.within_s:g} s after the faults stopped", "it does not")
            else:
                waiting.append((rule.within_s, rule.name))
        if not waiting:
            return None
        within_s, name = min(waiting)
        return name, within_s

    def at_rest(self) -> None:
        """Look at what is conserved, and whether what came about has remained."""
        for rule in self._conserved:
            value = self._value(rule)
            if value is not _RAISED and rule.first is not _RAISED and value != rule.first:
                self._violated(rule.name, f"{rule.first!r} to the end", repr(value))
        for rule in self._eventually:
            if not self._value(rule):
                self._violated(rule.name, "to hold at the end", "it does not")

    def _value(self, rule: Rule) -> Any:
        try:
            return rule.value(self._view)
        except Exception as error:
            self._violated(rule.name, f"a value of the function that states what is {rule.kind}", described(error))
            return _RAISED
