"""The examples' simulations, with a few seeds and crashes each; `actorium simulate` runs thousands."""

import pytest

from actorium.simulation import Faults, Outcome, Simulation
from actorium.simulation.record.trace import TraceMark
from actorium.simulation.reports.verdict import judge
from actorium.simulation.search.discovery import find_simulations
from actorium.simulation.search.exhaustive import crash_steps, possible_faults
from actorium.simulation.search.place import ScenarioPlace
from actorium.simulation.world.faults import CrashAt, FaultId

SEEDS = 12
FAULTS_APART, CRASHES_APART = 17, 23
PLACES = [place for example in ("bank", "orders") for place in find_simulations(f"actorium.examples.{example}")]
SMALL = {place.name: place.load() for place in PLACES if place.load().is_exhaustive}
ENDS = {
    "settled_transfer": "bank.transfer-settled",
    "returned_transfer": "bank.transfer-returned",
    "overdrawn_transfer": "bank.transfer-returned",
    "settled_payment": "bank.transfer-settled",
    "refused_payment": "bank.transfer-returned",
    "recalled_payment": "bank.payment-recalled",
    "corrected_booking": "correction.closed",
    "skipped_booking": "correction.projection_repaired",
    "orchestrated_order": "shop.order-confirmed",
    "orchestrated_order_undone": "shop.stock-released",
    "choreographed_order": "shop.order-confirmed",
    "choreographed_order_undone": "shop.stock-released",
    "cancelled_order": "credit.released",
    "declined_order": "credit.order-declined",
}


def tried(simulation: Simulation, fault: FaultId | None = None, crash_at: CrashAt | None = None) -> Outcome:
    """Run it with at most one fault and one crash; without a crash, record the possible ones."""
    only = frozenset() if fault is None else frozenset([fault])
    return simulation.run(
        0, faults=Faults.none(), only=only, crash_at=crash_at, reorder=False, remember=crash_at is None
    )


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_few_seeds_pass(place: ScenarioPlace) -> None:
    verdict = judge(place.load(), seeds=SEEDS)
    assert verdict.failure is None
    assert verdict.tally.seeds == SEEDS
    assert verdict.tally.faults  # something did go wrong on the way


@pytest.mark.parametrize("name", SMALL)
def test_a_few_faults_pass_each_with_a_few_crashes(name: str) -> None:
    plain = tried(SMALL[name])
    for fault in [None, *possible_faults(plain)[::FAULTS_APART]]:
        alone = tried(SMALL[name], fault)
        assert alone.violation is None, f"{fault}: {alone.violation}"
        for crash_at in [*crash_steps(alone)][::CRASHES_APART]:
            violation = tried(SMALL[name], fault, crash_at).violation
            assert violation is None, f"{fault}, {crash_at}: {violation}"


@pytest.mark.parametrize("name", ENDS)
def test_without_faults_a_small_scenario_takes_its_intended_path(name: str) -> None:
    committed = [line.text for line in tried(SMALL[name]).trace if line.mark is TraceMark.COMMITTED]
    assert any(ENDS[name] in text for text in committed)


def test_each_small_scenario_has_its_own_path() -> None:
    assert ENDS.keys() == SMALL.keys()
