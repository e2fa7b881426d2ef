"""The page is self-contained; the Markdown tables have the same figures."""

import json
import re
import xml.etree.ElementTree as ElementTree

import msgspec
import pytest
from support.reports import ENVIRONMENT, report, result

from actorium.benchmarks.catalog import CATALOG
from actorium.benchmarks.report import BenchmarkReport, NotRun
from actorium.benchmarks.reports.markdown import tables
from actorium.benchmarks.reports.page import page
from actorium.benchmarks.scenarios.overload import LOADS_PERCENT


def everything() -> BenchmarkReport:
    """A report with three rounds of every scenario on every store."""
    results = [
        result(
            [100.0 * number, 110.0 * number, 120.0 * number],
            scenario.name,
            store,
            figure=scenario.headline,
            subject=scenario.subject,
            events_per_commit=50.0,
            us_per_event=20.0,
            **dict.fromkeys((f"goodput_at_{percent}_per_s" for percent in LOADS_PERCENT), 50.0 * number),
            capacity_per_s=100.0,
        )
        for number, scenario in enumerate(CATALOG, 1)
        for store in scenario.stores
    ]
    return report(*results, not_run=[NotRun("pykka", "memory", "it is <not> & never was installed")])


def embedded(html: str) -> BenchmarkReport:
    found = re.search(r'<script type="application/json" id="report">(.*)</script>', html, re.DOTALL)
    assert found is not None
    return msgspec.convert(json.loads(found[1]), BenchmarkReport)


def test_it_fetches_nothing() -> None:
    html = page(everything())
    assert re.findall(r"https?:|<link|<img|<iframe|@import|url\(|\bsrc=", html) == []
    assert len(re.findall(r"<script", html)) == 1


def test_it_contains_the_report() -> None:
    whole = everything()
    assert embedded(page(whole)) == whole


def test_text_is_escaped() -> None:
    wrong = report(result([1.0], failures=["</script><b>"]))
    html = page(wrong)
    assert embedded(html) == wrong
    assert "&lt;/script&gt;&lt;b&gt;" in html
    assert len(re.findall("</script>", html)) == 1


def test_every_drawing_is_well_formed_and_within_its_box() -> None:
    drawings = re.findall(r"<svg.*?</svg>", page(everything()), re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for element in root.iter():
            for name, most in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                assert 0 <= float(element.attrib.get(name, 0)) <= most, ElementTree.tostring(element)


def test_it_shows_every_scenario_and_what_did_not_run() -> None:
    html = page(everything())
    assert [one.name for one in CATALOG if f"<b>{one.name}</b>" not in html] == []
    assert "it is &lt;not&gt; &amp; never was installed" in html


@pytest.mark.parametrize("only", [one.name for one in CATALOG] + ["none"])
def test_a_report_of_one_scenario_has_a_page_too(only: str) -> None:
    whole = everything()
    part = msgspec.structs.replace(whole, results=[one for one in whole.results if one.scenario == only])
    assert page(part).startswith("<!doctype html>")
    assert tables(part)


def test_a_folder_in_memory_gives_a_warning() -> None:
    shaky = msgspec.structs.replace(ENVIRONMENT, folder_file_system="tmpfs")
    assert "durable figures mean nothing" in page(report(environment=shaky))
    assert "durable figures mean nothing" not in page(report())


def test_the_tables_contain_medians_spreads_and_ratios() -> None:
    text = tables(report(result([100, 120, 130]), result([60], "least-100-callers", subject="yardstick")))
    assert "| 100-callers | SQLite FULL | 120 commands/s | 100 – 130 | 500 / 990 / 999 / 1,000 |" in text
    assert "| 100-callers | least-100-callers | SQLite FULL | 120 | 60.0 | 2.0× | 1.67 – 2.2 |" in text


def card(html: str, words: str) -> str:
    """The text of a scenario's card at the front of the page."""
    (found,) = [one for one in re.findall(r'<figure class="front">(.*?)</figure>', html, re.DOTALL) if words in one]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found)).strip()


def test_the_front_shows_the_alternatives_by_durability() -> None:
    html = page(
        report(
            result([100, 120, 130]),
            result([10, 12, 13], "eventsourcing", subject="eventsourcing"),
            result([20, 30, 40], "eventsourcing-8", subject="eventsourcing"),
            result([240], "least-100-callers", subject="yardstick"),
            result([500], store="memory"),
        )
    )
    assert html.index("SQLite FULL <small>acknowledged commands survive a power cut") < html.index("<svg")
    assert html.index("SQLite FULL <small>") < html.index("memory <small>nothing survives the process")
    found = card(html, "4.0× the best alternative")  # not the 10× of the slower way
    assert found.startswith("100 callers: 120 commands/s, 4.0× the best alternative actorium 120 100 – 130")
    assert "eventsourcing, one caller 12.0 10× (7.7 – 13) eventsourcing, 8 threads 30.0 4.0× (2.5 – 6.5)" in found
    assert found.endswith("a minimal Python process 240 0.50× (0.42 – 0.54)")


def test_a_missing_peer_is_mentioned_at_the_front() -> None:
    why = "pykka is not installed: pip install 'actorium[bench-peers]'"
    html = page(
        report(result([100]), not_run=[NotRun("pykka", "memory", why), NotRun("growth-1m", "full", "too long")])
    )
    before, _, _ = html.partition("<svg")
    assert "pykka is not installed" in before
    assert "too long" not in before


def test_the_selected_figures_are_shown_and_all_are_kept() -> None:
    goodput = {f"goodput_at_{percent}_per_s": float(percent) for percent in LOADS_PERCENT}
    figures = {**goodput, "capacity_per_s": 1_000.0, "refused_at_200_per_s": 7.0, "refused_at_300_per_s": 8.0}
    whole = report(result([200.0], "overload", figure="goodput_at_200_per_s", **figures))
    shown = "in time at 50, 100, 200, 400%: 50.0, 100, 200, 400/s; capacity 1,000/s; rejected at 200%: 7.00/s |"
    assert f"| goodput at 200% 200/s |  | 500 / 990 / 999 / 1,000 | {shown}" in tables(whole)
    html = page(whole)
    assert "refused at 300%" not in html
    assert embedded(html).median("overload", "full", "refused_at_300_per_s") == 8.0


def test_a_report_of_another_version_shows_whatever_figures_it_has() -> None:
    older = report(result([200.0], "overload", figure="done_per_s", us_per_event=3.0, grown_mb=2.0, woken_per_s=9.0))
    assert "| µs per event 3.00; grown 2.00 MB; woken 9.00/s |" in tables(older)
    assert page(older)


def test_a_removed_scenario_is_still_shown() -> None:
    old = report(result([1.0], "a scenario of old"))
    assert "<b>a scenario of old</b>" in page(old)
    assert "| a scenario of old |" in tables(old)
