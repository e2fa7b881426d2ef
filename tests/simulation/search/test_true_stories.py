"""The story of a failure is true: what it leaves out is irrelevant, and it names the responsible code."""

import pytest
from support import planted_bugs
from support.small_scenarios import Add, Sum

from actorium.simulation import Faults, Outcome, Simulation, World, simulation
from actorium.simulation.reports.story import story
from actorium.simulation.reports.verdict import judge
from actorium.simulation.search.shrink import Shrunk, shrink


def sent(outcome: Outcome) -> list[str]:
    return [one.name for one in outcome.operations if not one.left_out and not one.in_calm]


def shrunk(simulation: Simulation, *, within_s: float = 60.0) -> Shrunk:
    """The story of the first failing seed, among the first thirty."""
    verdict = judge(simulation, seeds=30, shrink_s=within_s)
    assert verdict.failure is not None
    return verdict.failure.shrunk


@pytest.mark.parametrize(
    ("bug", "invariant", "culprit"),
    [
        (planted_bugs.lost_update, "every addition counts", ""),
        (planted_bugs.sold_twice, "a decision follows from the state before it", "sold_twice.<locals>.Seat.take"),
        (planted_bugs.no_undo, "nothing is lost", "Sum.add, sent by Move.take"),
        (planted_bugs.charged_twice, "everything is charged once", ""),
        (
            planted_bugs.counted_outside,
            "a projection is the fold of the log",
            "counted_outside.<locals>.Sums.was_written",
        ),
        (
            planted_bugs.evolves_by_count,
            "state in memory equals replayed state",
            "evolves_by_count.<locals>.Counted.was_written",
        ),
    ],
    ids=lambda one: one.name if isinstance(one, Simulation) else "",
)
def test_a_users_bug_is_found_and_shrunk_to_two_commands_and_two_faults_at_most(
    bug: Simulation, invariant: str, culprit: str
) -> None:
    found = shrunk(bug).outcome
    assert found.violation is not None
    assert (found.violation.invariant, found.violation.culprit) == (invariant, culprit)
    assert 1 <= len(sent(found)) <= 2
    assert len(found.faults) <= 2
    assert culprit in story(found)


def test_a_lost_update_takes_two_clients() -> None:
    """The clients record what they did: if one continued after a left-out command, one client would be enough."""
    found = shrunk(planted_bugs.lost_update)
    assert len(sent(found.outcome)) == 2
    assert found.outcome.faults == ()


@pytest.mark.parametrize(
    ("bug", "invariant", "culprit"),
    [
        (planted_bugs.draws, "a decision follows from the state before it", "draws.<locals>.Lot.draw"),
        (
            planted_bugs.reads_the_clock,
            "state in memory equals replayed state",
            "reads_the_clock.<locals>.Seen.was_written",
        ),
    ],
    ids=lambda one: one.name if isinstance(one, Simulation) else "",
)
def test_code_that_differs_each_time_is_named(bug: Simulation, invariant: str, culprit: str) -> None:
    verdict = judge(bug, seeds=20, shrink_s=60.0)
    assert verdict.unrepeatable is None
    assert verdict.failure is not None
    assert not verdict.failure.is_repeatable
    found = verdict.failure.shrunk.outcome
    assert found.violation is not None
    assert (found.violation.invariant, found.violation.culprit) == (invariant, culprit)
    assert len(sent(found)) == 1
    assert found.faults == ()


def test_no_command_is_left_out_if_the_scenario_depends_on_all_of_them() -> None:
    found = shrunk(planted_bugs.counts_on_all)
    assert sent(found.outcome) == ["Add a", "Add a #2", "Add a #3"]
    assert len(found.outcome.faults) == 1


@simulation(seeds=1, faults=Faults.none())
async def needs_the_second(world: World) -> None:
    """Checks the results of its commands in pairs, and fails by a crash alone."""
    sums = world.runtime([Sum])
    world.eventually("b has what a has, in one life", lambda view: len(world.nodes[0].lives) == 1 and _same(view))
    await sums.send(Add("a", 1))
    await sums.send(Add("b", 1))


def _same(view: object) -> bool:
    amounts = [view.get(Sum, name).amount if view.get(Sum, name) else 0 for name in "ab"]  # type: ignore[attr-defined]
    return amounts[0] == amounts[1]


def test_leaving_commands_out_does_not_break_the_invariant_instead_of_the_fault() -> None:
    failed = next(
        outcome
        for seed in range(50)
        if (outcome := needs_the_second.run(seed, faults=Faults.all())).violation is not None
    )
    found = shrink(needs_the_second.scenario, failed, within_s=60.0).outcome
    assert len(found.faults) == 1
    assert sent(found) in ([], ["Add a", "Add b"])


def test_a_story_that_does_not_fail_again_in_the_same_way_is_discarded() -> None:
    runs = 0

    @simulation(seeds=1, faults=Faults.none())
    async def now_and_then(world: World) -> None:
        nonlocal runs
        runs += 1
        sums = world.runtime([Sum])
        await sums.send(Add("a", 1))
        await sums.send(Add("b", 1))
        assert runs > 4, f"run {runs}"

    failed = now_and_then.run(0)
    found = shrink(now_and_then.scenario, failed, runs_max=3)
    assert found.outcome is failed
    assert not found.is_smallest


def test_another_culprit_is_another_failure() -> None:
    """Two clients break one invariant in two handlers; the first culprit is reported."""

    @simulation(seeds=1, faults=Faults.none())
    async def two_ways(world: World) -> None:
        runtime = world.runtime([Sum, planted_bugs.Cell])
        world.always("nothing is written", lambda view: view.position == 0)
        await runtime.send(planted_bugs.Write("c", 1))
        await runtime.send(Add("a", 1))

    found = shrunk(two_ways).outcome
    assert sent(found) == ["Write c"]
    assert found.violation is not None
    assert found.violation.culprit == "Cell.write"
