"""`actorium simulate`: a user's own code in a world with faults, seed after seed; and one seed before their eyes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Interrupted, Problem, WrongUse, require_place_for_report
from actorium.commands.screen import Screen
from actorium.store.errors import from_extra

if TYPE_CHECKING:
    from actorium.simulation.reports.report import SimulationReport
    from actorium.simulation.search.place import ScenarioPlace
    from actorium.simulation.search.run import Outcome
    from actorium.simulation.world.faults import Faults

Store = Literal["memory", "shared-model", "sqlite", "sqlite-normal"]
_STEPS_MAX = "The number of steps after which a run counts as endless. [default: the scenario's own limit]"
_HOSTILE = (
    "Inject faults of every kind, including some that few programs are prepared for: a clock that jumps years ahead, "
    "and a deployment of different classes."
)
_SHRINK_S = "The time limit for shrinking a failure, in seconds. [default: 10]"

# Which options about how to run have a meaning beside the other ways to look at a simulation.
_GO_WITH = {
    "--replay": {"--rate", "--hostile", "--store", "--steps-max"},
    # It holds them, and is printed behind the command that had them.
    "--story": {"--rate", "--hostile", "--store", "--steps-max"},
    "--exhaustive": {"--from", "--jobs", "--store", "--steps-max"},
    "--audit": {"--from", "--steps-max"},
}


def simulate(
    target: str,
    /,
    *,
    only: str | None = None,
    seeds: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    from_: Annotated[int, Parameter(name="--from", validator=Number(gte=0))] = 0,
    minutes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    jobs: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    rate: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None,
    hostile: Annotated[bool, Parameter(negative="", help=_HOSTILE)] = False,
    store: Store = "memory",
    steps_max: Annotated[int | None, Parameter(validator=Number(gte=1), help=_STEPS_MAX)] = None,
    shrink_s: Annotated[float | None, Parameter(validator=Number(gte=0), help=_SHRINK_S)] = None,
    replay: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    story: str | None = None,
    exhaustive: Annotated[bool, Parameter(negative="")] = False,
    audit: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFile = None,
    html: Path | None = None,
) -> None:
    """Run scenarios with injected faults in virtual time, until a limit is reached or an invariant breaks.

    The exit code is 1 if an invariant broke, 2 for wrong usage, and 130 after Ctrl-C. The first Ctrl-C finishes the
    current run; the second exits immediately.

    Parameters
    ----------
    target
        A file with scenarios marked with @simulation, a folder of such files, or the dotted name of a module.
    only
        Run only the scenario with this name.
    seeds
        How many seeds to run. [default: the scenario's own number]
    from_
        The first seed.
    minutes
        Run for this many minutes instead of a number of seeds. With --seeds, stop at whichever limit comes first.
    jobs
        How many processes to use.
    rate
        Inject faults of every kind with this probability, from 0 to 1, instead of the scenario's own faults.
    store
        The store: memory is a model of a store; shared-model is a model of a log that several processes share, where
        one takes over when another is frozen or killed; sqlite is the SQLite store on a simulated disk that may lose
        power; sqlite-normal is sqlite with `synchronous=NORMAL`, a control that may lose acknowledged commands.
    replay
        Run only this seed, and print every step.
    story
        Run a shrunk failure again, given the token printed with it, and print every step.
    exhaustive
        Instead of running seeds, inject each possible fault, first alone and then with a crash at every step. If any
        scenarios are marked as exhaustive, run only those.
    audit
        Run a single seed, and list the lines of code that use the machine's time, randomness, threads or files.
    html
        Write the report to this file as an HTML page, with the timeline of a run.
    """
    asked = _Asked(target, only, seeds, from_, minutes, jobs, rate, hostile, store, steps_max, shrink_s)
    ways = {"--replay": replay is not None, "--story": bool(story), "--exhaustive": exhaustive, "--audit": audit}
    _require_sense(asked, [way for way, is_given in ways.items() if is_given], json, html)
    if replay is not None or story is not None:
        _replay(asked, replay, story, html)
    elif exhaustive:
        _exhaust(asked, html)
    elif audit:
        _audit(asked)
    else:
        _campaigns(asked, json, html)


def _require_sense(asked: _Asked, ways: Sequence[str], json: Path | None, html: Path | None) -> None:
    """Raise WrongUse for options that say nothing together, reports with no place, a store whose library is missing."""
    require_place_for_report(html)
    if len(ways) > 1:
        raise WrongUse(f"{' and '.join(ways)} cannot be combined: give one")
    if json is not None and ways:
        raise WrongUse(f"--json needs a run over seeds: leave out {' and '.join(ways)}")
    for way in ways:
        if idle := [option for option in asked.given() if option not in _GO_WITH[way]]:
            raise WrongUse(f"leave out {' and '.join(idle)}: not used with {way}")
    if asked.store.startswith("sqlite"):
        with from_extra("simulation", f"--store {asked.store}", "apsw"):
            import apsw  # noqa: F401


class _Asked(NamedTuple):
    """What somebody typed."""

    target: str
    only: str | None
    seeds: int | None
    first: int
    minutes: float | None
    jobs: int
    rate: float | None
    hostile: bool
    store: Store
    steps_max: int | None
    shrink_s: float | None

    def places(self) -> list[ScenarioPlace]:
        """Return where the simulations are; raise ConfigurationError where there is none."""
        from actorium.simulation.search.discovery import find_simulations

        found = find_simulations(self.target, self.only)
        return [msgspec.structs.replace(place, steps_max=self.steps_max) for place in found]

    def faults(self) -> Faults | None:
        """Return the faults that were asked for, None for the scenario's own."""
        from actorium.simulation.world.faults import Faults

        if self.rate is None and not self.hostile:
            return None
        return Faults.all(**({} if self.rate is None else {"rate": self.rate}), hostile=self.hostile)

    def given(self) -> list[str]:
        """Return the options about how to run that are not as they are by themselves."""
        options = {
            "--seeds": self.seeds is not None,
            "--minutes": self.minutes is not None,
            "--from": self.first != 0,
            "--jobs": self.jobs != 1,
            "--rate": self.rate is not None,
            "--hostile": self.hostile,
            "--store": self.store != "memory",
            "--steps-max": self.steps_max is not None,
            "--shrink-s": self.shrink_s is not None,
        }
        return [option for option, is_given in options.items() if is_given]

    def command(self, place: ScenarioPlace) -> str:
        """Return the command line that runs one of the simulations."""
        words = ["actorium", "simulate", place.module, "--only", place.name]
        if self.rate is not None:
            words += ["--rate", str(self.rate)]
        if self.hostile:
            words += ["--hostile"]
        if self.store != "memory":
            words += ["--store", self.store]
        if self.steps_max is not None:
            words += ["--steps-max", str(self.steps_max)]
        return shlex.join(words)


def _campaigns(asked: _Asked, json: Path | None, html: Path | None) -> None:
    from actorium.commands.simulation_display import CampaignDisplay
    from actorium.commands.simulation_words import say_simulation
    from actorium.simulation.reports.page import page
    from actorium.simulation.reports.report import report_of, simulation_report
    from actorium.simulation.reports.verdict import SHRINK_S, judge, shown_run
    from actorium.simulation.search.discovery import meant_for
    from actorium.simulation.words import NOTHING_TRIED

    screen = screen_beside(json)
    reports: list[SimulationReport] = []
    outcomes: list[Outcome] = []
    for place in meant_for(asked.places(), exhaustive=False):
        screen.head(f"{place.name} ({place.module})")
        seeds = asked.seeds or (place.load().seeds if asked.minutes is None else None)
        display = CampaignDisplay(screen.out, place.name, seeds=seeds, minutes=asked.minutes)
        with display.shown():
            verdict = judge(
                place,
                seeds=seeds,
                first=asked.first,
                minutes=asked.minutes,
                jobs=asked.jobs,
                faults=asked.faults(),
                store=asked.store,
                shrink_s=SHRINK_S if asked.shrink_s is None else asked.shrink_s,
                progress=display.update,
            )
        report = simulation_report(verdict, file=place.module, command=asked.command(place))
        say_simulation(screen, report)
        reports.append(report)
        if html is not None:
            outcomes.append(shown_run(verdict, place.load()))
        if verdict.tally.is_cut_short:
            break
    if html is not None:
        html.write_text(page(outcomes, [report.name for report in reports], report_of(reports)), encoding="utf-8")
    if json is not None:
        write_json(report_of(reports), json)
    _end([report.name for report in reports if not report.is_good], is_cut_short=reports[-1].is_cut_short)
    if idle := [report.name for report in reports if not report.operations and not report.events]:
        raise WrongUse(f"{', '.join(idle)}: {NOTHING_TRIED}")


def _end(broken: Sequence[str], *, is_cut_short: bool = False) -> None:
    """End the program with what it found."""
    said = f"an invariant broke in {', '.join(broken)}"
    if is_cut_short:
        raise Interrupted(f"stopped by Ctrl-C; {said if broken else 'every invariant held in the runs that had ended'}")
    if broken:
        raise Problem(said)


def _replay(asked: _Asked, seed: int | None, token: str | None, html: Path | None) -> None:
    from actorium.commands.simulation_words import say_end, say_line
    from actorium.simulation.reports.page import page
    from actorium.simulation.reports.story import options_of
    from actorium.simulation.search.run import run

    places = asked.places()
    if len(places) > 1:
        raise WrongUse(f"{', '.join(place.name for place in places)}: choose one to replay with --only")
    simulation = places[0].load()
    if token is not None:
        options = options_of(token)
    else:
        assert seed is not None
        options = simulation.options(seed, faults=asked.faults(), store=asked.store)
    screen = Screen()
    outcome = run(
        simulation.scenario, options, on_trace_line=lambda line: say_line(screen, line)
    )  # at once: it may hang
    say_end(screen, outcome)
    if html is not None:
        html.write_text(page([outcome], [simulation.name]), encoding="utf-8")
    _end([simulation.name] if outcome.violation else [])


def _exhaust(asked: _Asked, html: Path | None) -> None:
    from actorium.commands.simulation_display import ExhaustionDisplay
    from actorium.commands.simulation_words import say_counterexample, say_coverage
    from actorium.simulation.reports.page import page
    from actorium.simulation.search.discovery import meant_for
    from actorium.simulation.search.exhaustive import exhaust
    from actorium.simulation.search.run import run

    screen = Screen()
    broken: dict[str, Outcome] = {}
    is_cut_short = False
    for place in meant_for(asked.places(), exhaustive=True):
        screen.head(f"{place.name} ({place.module}): every fault, every crash, seed {asked.first}")
        with ExhaustionDisplay(screen.out).shown() as display:
            coverage = exhaust(place, seed=asked.first, jobs=asked.jobs, store=asked.store, progress=display.update)
        say_coverage(screen, coverage)
        is_cut_short = coverage.is_cut_short
        for counterexample in coverage.failures[:1]:
            simulation = place.load()
            options = counterexample.options(simulation, asked.first, asked.store)
            broken[place.name] = run(simulation.scenario, options)
            say_counterexample(screen, broken[place.name], asked.command(place))
        if is_cut_short:
            break
    if html is not None and broken:
        html.write_text(page(list(broken.values()), list(broken)), encoding="utf-8")
    _end(list(broken), is_cut_short=is_cut_short)


def _audit(asked: _Asked) -> None:
    from actorium.simulation.search.audit import audit

    screen = Screen()
    found = 0
    for place in asked.places():
        findings = audit(place.load(), asked.first)
        found += len(findings)
        screen.head(f"{place.name} ({place.module})")
        for finding in findings:
            screen.say(f"  {finding}")
        if not findings:
            screen.say("  no direct use of the machine", style="green")
    if found:
        raise Problem("a seed determines a run only if no code uses the machine directly")
