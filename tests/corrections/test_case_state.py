"""What a case says it lacks, and what a process remembers of the cases that are over."""

from collections.abc import Sequence

import pytest
from support.correcting import PARTS

from actorium import Event
from actorium.catalog import Catalog
from actorium.correction_case import (
    CaseApproved,
    CaseBegun,
    CaseCancelled,
    CaseOpened,
    CasePlanned,
    CorrectionCase,
    CorrectionsApplied,
    PlanCase,
    ProjectionRepaired,
    ReactionRerun,
)
from actorium.corrections.cases import keeper
from actorium.corrections.cases.keeper import CaseKeeper
from actorium.runtime.processors.dead_letters import SkipMarks
from actorium.store.memory import MemoryStore
from actorium.testing import given

OPENED = CaseOpened(("Account/a/1",), "ann", "a test", ("projection Bookings",))


def state_of(id: str, events: Sequence[Event]) -> CorrectionCase:
    """Return the state of a case with these events."""
    state: CorrectionCase = given(CorrectionCase(id), *events)._state
    return state


def test_a_projection_and_a_reaction_of_one_name_are_told_apart() -> None:
    planned = CasePlanned("ann", (), (), ("Mail",), {"Mail": ("Account/a/1", "Account/b/1")})
    applied = [OPENED, planned, CaseBegun(), CorrectionsApplied(())]
    rerun = [ReactionRerun("Mail", f"Account/{id}/1", 1, "") for id in "ab"]
    repaired = ProjectionRepaired("Mail", 1, False)
    assert state_of("c", applied).missing == ["projection Mail", "reaction Mail"]
    assert state_of("c", [*applied, rerun[0], repaired]).missing == ["reaction Mail"]
    assert state_of("c", [*applied, *rerun]).missing == ["projection Mail"]
    assert state_of("c", [*applied, *rerun, repaired]).missing == []


def test_the_cases_that_ended_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "OVER_KEPT", 2)
    cases = CaseKeeper(MemoryStore(), Catalog(PARTS).codec, (), SkipMarks(), {})
    for id in ("a", "b", "c"):
        cases.take(state_of(id, [OPENED]))
        assert list(cases.open) == [id]
        cases.take(state_of(id, [OPENED, CaseCancelled("ann", "all is right")]))
        cases.take(state_of(id, [OPENED]))  # read before the case was over
        assert cases.open == {}
    assert list(cases._over) == ["b", "c"]


def test_the_same_plan_again_keeps_the_approval_and_a_different_one_does_not() -> None:
    planned = CasePlanned("ann", (), (), ("Mail",), {})
    approved = given(CorrectionCase("c"), OPENED, planned, CaseApproved("bob"))
    approved.when(PlanCase("c", "ann", (), (), ("Mail",), {})).then_nothing()
    approved.when(PlanCase("c", "ann", (), (), ("Balances",), {})).then(CasePlanned("ann", (), (), ("Balances",), {}))
    empty = PlanCase("c", "ann", (), (), (), {})
    given(CorrectionCase("c"), OPENED).when(empty).then(CasePlanned("ann", (), (), (), {}))
