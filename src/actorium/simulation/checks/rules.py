"""`Rules`: the scenario's own invariants: always, conserved and eventually.

Rules see only what is durable and never take part in the run. A condition holds if it returns a true value. A condition
that raises AssertionError does not hold, and the error's message says what was found. Any other error is reported as
an error of the rule.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from actorium.simulation.checks.culprits import written_since
from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.view import View
from actorium.user_code.lines import described

_UNSET: Any = object()
_RAISED: Any = object()


class Rule(msgspec.Struct):
    """An invariant of the scenario, by name; `kind` is always, conserved or eventually."""

    kind: str
    name: str
    value: Callable[[View], object]
    within_s: float = 0.0
    first: Any = _UNSET


class Rules:
    """The rules of one node."""

    def __init__(self, view: View, violated: Violated) -> None:
        self._view = view
        self._violated = violated
        self._always: list[Rule] = []
        self._conserved: list[Rule] = []
        self._eventually: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """Add a rule; a conserved value is read now."""
        if rule.kind == "conserved":
            rule.first = self._value(rule)
        {"always": self._always, "conserved": self._conserved, "eventually": self._eventually}[rule.kind].append(rule)

    def calmed(self) -> None:
        """Read the conserved values again: the setup has ended."""
        for rule in self._conserved:
            rule.first = self._value(rule)

    def committed(self) -> None:
        """Check the `always` rules after a commit."""
        for rule in self._always:
            if (found := self._broken(rule)) is not None:
                after = f"after position {self._view.position}: {found}"
                self._broke(rule, "to hold after every commit", after)

    def unmet(self, after_s: float) -> tuple[str, float] | None:
        """Return the rule still to be met and its deadline, in seconds after the faults stopped; None if there is none.

        A rule that is not met by its deadline is a violation.
        """
        waiting = []
        for rule in self._eventually:
            if (found := self._broken(rule)) is None:
                continue
            if after_s >= rule.within_s:
                self._broke(rule, f"to hold {rule.within_s:g} s after the faults stopped", found)
            else:
                waiting.append((rule.within_s, rule.name))
        if not waiting:
            return None
        within_s, name = min(waiting)
        return name, within_s

    def at_rest(self) -> None:
        """Check that conserved values are unchanged, and that `eventually` and `always` rules hold."""
        if self._view.position:
            self.committed()
        for rule in self._conserved:
            value = self._value(rule)
            if value is not _RAISED and rule.first is not _RAISED and value != rule.first:
                self._broke(rule, f"{rule.first!r} to the end", repr(value))
        for rule in self._eventually:
            if (found := self._broken(rule)) is not None:
                self._broke(rule, "to hold at the end", found)

    def _broken(self, rule: Rule) -> str | None:
        """Return what was found if a condition does not hold, or None if it does."""
        try:
            value = self._asked(rule)
        except AssertionError as error:
            return described(error)
        except Exception as error:
            self._raised(rule, error)
            return None
        if value is None:
            return "None: a condition must return whether it holds, or raise AssertionError"
        return None if value else "it does not hold"

    def _value(self, rule: Rule) -> Any:
        try:
            return self._asked(rule)
        except Exception as error:
            self._raised(rule, error)
            return _RAISED

    def _asked(self, rule: Rule) -> object:
        value = rule.value(self._view)
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError(
                f"{rule.name!r} is an async function: rules run between two steps and cannot wait; use a plain function"
            )
        return value

    def _raised(self, rule: Rule, error: Exception) -> None:
        wanted = f"a value returned by the function of this `{rule.kind}` rule"
        self._violated(rule.name, wanted, described(error), is_stated=True)

    def _broke(self, rule: Rule, expected: str, found: str) -> None:
        """Report a rule that does not hold, with the code that wrote the event that broke it."""
        culprit = written_since(self._view, lambda past: self._held(rule, past))
        self._violated(rule.name, expected, found, culprit=culprit, is_stated=True)

    @staticmethod
    def _held(rule: Rule, past: View) -> bool:
        """Return whether a rule held for the beginning of the log."""
        try:
            value = rule.value(past)
        except Exception:
            return False
        return bool(value == rule.first if rule.kind == "conserved" else value)
