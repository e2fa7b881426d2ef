"""`page`: the report and the timeline of a run as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from actorium.simulation.record.timeline import Bar, Lane, Spot, Timeline, timeline
from actorium.simulation.record.trace import TraceMark
from actorium.simulation.reports.report import CampaignReport, SimulationReport
from actorium.simulation.reports.story import story
from actorium.simulation.reports.words import counted, duration
from actorium.simulation.search.run import Outcome

_ROW = 22
_GROUP_ROW = 26
_AXIS = 30
_MARGIN = 16
_NAMES_MAX = 46
_CHARACTER_PX = 7.2
_KEY = (
    ('<rect class="sent" width="18" height="10" rx="3"/>', "a command, until it is answered"),
    ('<rect class="starts" width="18" height="10"/>', "a process starts"),
    ('<rect class="serves" width="18" height="10"/>', "a process serves"),
    ('<circle class="committed" cx="9" cy="6" r="4"/>', "a commit"),
    ('<path class="fault" d="M9 1l6 10h-12z"/>', "a fault"),
    ('<path class="crashed" d="M4 1l10 10M14 1l-10 10"/>', "a crash"),
)


def page(outcomes: Sequence[Outcome], names: Sequence[str], report: CampaignReport | None = None) -> str:
    """Return the page of some runs, each with its simulation's name, and of the report on many, if there is one."""
    reports: Sequence[SimulationReport | None] = report.simulations if report else [None] * len(outcomes)
    parts = "".join(
        _simulation(name, outcome, one) for name, outcome, one in zip(names, outcomes, reports, strict=True)
    )
    css = (files(__package__) / "page.css").read_text(encoding="utf-8")
    made_with = f"Actorium {report.actorium}, Python {report.python}" if report else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Simulated failures</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>Simulated failures</h1>\n<p>{escape(made_with)}</p>\n{parts}</main>\n</body>\n</html>\n"
    )


def _simulation(name: str, outcome: Outcome, report: SimulationReport | None) -> str:
    cards = [*([] if report is None else [_figures(report)]), _faults(outcome, report)]
    failure = _failure(outcome, report)
    verdict = '<p class="held">every invariant held</p>' if not failure else ""
    return (
        f"<h2>{escape(name)}</h2>\n{verdict}\n"
        f'<div class="cards">{failure}{"".join(cards)}</div>\n'
        f"<h3>{escape(story(outcome))}</h3>\n{_drawn(timeline(outcome), outcome)}\n"
    )


def _figures(report: SimulationReport) -> str:
    rows = (
        ("seeds", f"{report.seeds:,}, from {report.first_seed}"),
        ("a minute", f"{report.seeds_per_minute:,}"),
        ("real time", duration(report.elapsed_s)),
        ("simulated time", duration(report.simulated_s)),
        ("commands", f"{report.operations:,}"),
        ("events", f"{report.events:,}"),
        ("steps", f"{report.steps:,}"),
        ("store", report.store),
    )
    return f'<div class="card"><h3>All seeds</h3><table>{_rows(rows)}</table></div>'


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{escape(what)}</th><td>{escape(value)}</td></tr>" for what, value in rows)


def _faults(outcome: Outcome, report: SimulationReport | None) -> str:
    kinds = outcome.by_kind if report is None else report.faults
    total = sum(kinds.values())
    if not total:
        return ""
    most = max(kinds.values())
    rows = "".join(
        f'<tr><th>{escape(str(kind))}</th><td class="count">{count:,}</td>'
        f'<td><span class="share" style="width:{max(1, round(120 * count / most))}px"></span></td></tr>'
        for kind, count in sorted(kinds.items(), key=lambda one: -one[1])
    )
    of = "in this run" if report is None else "in all seeds"
    return f'<div class="card"><h3>{counted(total, "fault")} {of}</h3><table>{rows}</table></div>'


def _failure(outcome: Outcome, report: SimulationReport | None) -> str:
    violation = outcome.violation
    if violation is None:
        return ""
    told = [
        f'<h3 class="broken">Broken: {escape(violation.invariant)}</h3>',
        f"<table>{_rows((('expected', violation.expected), ('found', violation.actual)))}</table>",
    ]
    if report is not None and report.failure is not None:
        failure = report.failure
        told += [
            f'<p class="story">{escape(failure.smallest)}</p>',
            f"<p>shrunk from {escape(failure.story)}, in {counted(failure.shrink_runs, 'run')}</p>",
            f"<p>this seed<br><code>{escape(failure.replay)}</code></p>",
            f"<p>the story<br><code>{escape(failure.replay_smallest)}</code></p>",
        ]
    return f'<div class="card failure">{"".join(told)}</div>'


def _drawn(drawing: Timeline, outcome: Outcome) -> str:
    """Return the timeline: the names of its lanes, beside what can be scrolled."""
    tops: list[tuple[float, Lane]] = []
    groups: list[tuple[float, str]] = []
    y = float(_AXIS)
    for lane in drawing.lanes:
        if not groups or groups[-1][1] != lane.group:
            groups.append((y, lane.group))
            y += _GROUP_ROW
        tops.append((y, lane))
        y += _ROW
    height, width = y + 10, drawing.width + 2 * _MARGIN + 90
    longest = max((len(lane.name) for _, lane in tops), default=10)
    names_px = 28 + min(_NAMES_MAX, longest) * _CHARACTER_PX
    key = "".join(f'<span><svg width="18" height="12">{shape}</svg>{text}</span>' for shape, text in _KEY)
    return (
        f'<div class="key">{key}</div>\n<div class="timeline">\n'
        f'<svg class="names" width="{names_px:.0f}" height="{height:.0f}">{"".join(_names(groups, tops))}</svg>\n'
        f'<div class="scroll"><svg width="{width:.0f}" height="{height:.0f}">'
        f"{''.join(_lanes(drawing, outcome, tops, width, height))}</svg></div>\n</div>\n"
        '<p class="note">Time runs from left to right, stretched: a gap is as wide as its logarithm. '
        "Point at a mark to read it.</p>"
    )


def _names(groups: Sequence[tuple[float, str]], tops: Sequence[tuple[float, Lane]]) -> Iterator[str]:
    for y, name in groups:
        yield f'<text class="group" x="10" y="{y + 18:.0f}">{escape(name)}</text>'
    for y, lane in tops:
        shown = lane.name if len(lane.name) <= _NAMES_MAX else lane.name[: _NAMES_MAX - 1] + "…"
        yield f'<text x="18" y="{y + 15:.0f}">{escape(shown)}<title>{escape(lane.name)}</title></text>'


def _lanes(
    drawing: Timeline, outcome: Outcome, tops: Sequence[tuple[float, Lane]], width: float, height: float
) -> Iterator[str]:
    for number, (y, _) in enumerate(tops):
        if number % 2 == 0:
            yield f'<rect class="stripe" x="0" y="{y:.0f}" width="{width:.0f}" height="{_ROW}"/>'
    for x, when in drawing.ticks:
        yield f'<path class="grid" d="M{x + _MARGIN:.1f} {_AXIS - 6}V{height:.0f}"/>'
        yield f'<text class="axis" x="{x + _MARGIN:.1f}" y="{_AXIS - 12}">{escape(when)}</text>'
    if drawing.calm is not None:
        yield _upright(drawing.calm, height, "calm", "the faults stop")
    for y, lane in tops:
        yield from (_bar(bar, y) for bar in lane.bars)
        yield from (_spot(spot, y) for spot in lane.spots)
    if drawing.violated is not None and outcome.violation is not None:
        yield _upright(drawing.violated, height, "violated", str(outcome.violation))


def _upright(x: float, height: float, kind: str, text: str) -> str:
    return f'<path class="{kind}" d="M{x + _MARGIN:.1f} {_AXIS - 6}V{height:.0f}"><title>{escape(text)}</title></path>'


def _bar(bar: Bar, y: float) -> str:
    width = max(3.0, bar.end - bar.start)
    corner = ' rx="4"' if bar.kind == "sent" else ""
    place = f'x="{bar.start + _MARGIN:.1f}" y="{y + 5:.0f}" width="{width:.1f}" height="12"'
    return f'<rect class="{bar.kind}" {place}{corner}><title>{escape(bar.text)}</title></rect>'


def _spot(spot: Spot, y: float) -> str:
    x, middle = spot.x + _MARGIN, y + _ROW / 2
    if spot.mark is TraceMark.CRASHED:
        shape = f'<path class="crashed" d="M{x - 5:.1f} {middle - 5:.1f}l10 10M{x + 5:.1f} {middle - 5:.1f}l-10 10"'
    elif spot.mark is TraceMark.FAULT:
        shape = f'<path class="fault" d="M{x:.1f} {middle - 7:.1f}l6.5 12h-13z"'
    else:
        shape = f'<circle class="committed" cx="{x:.1f}" cy="{middle:.1f}" r="4"'
    tag = shape[1:].partition(" ")[0]
    return f"{shape}><title>{escape(spot.text)}</title></{tag}>"
