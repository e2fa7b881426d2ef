"""The page needs nothing but itself; the tables in Markdown hold the same figures."""

import json
import re
import xml.etree.ElementTree as ElementTree

import msgspec
import pytest
from support.reports import ENVIRONMENT, report, result

from actorium.benchmarks.catalog import CATALOG
from actorium.benchmarks.markdown import tables
from actorium.benchmarks.page import page
from actorium.benchmarks.report import NotRun, Report
from actorium.benchmarks.scenarios.overload import LOADS_PERCENT


def everything() -> Report:
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


def embedded(html: str) -> Report:
    found = re.search(r"<script type='application/json' id='report'>(.*)</script>", html, re.DOTALL)
    assert found is not None
    return msgspec.convert(json.loads(found[1]), Report)


def test_it_fetches_nothing() -> None:
    html = page(everything())
    assert re.findall(r"https?:|<link|<img|<iframe|@import|url\(|\bsrc=", html) == []
    assert len(re.findall(r"<script", html)) == 1


def test_it_holds_the_report() -> None:
    whole = everything()
    assert embedded(page(whole)) == whole


def test_text_cannot_break_out() -> None:
    wrong = report(result([1.0], failures=["</script><b>"]))
    html = page(wrong)
    assert embedded(html) == wrong
    assert "&lt;/script&gt;&lt;b&gt;" in html
    assert len(re.findall("</script>", html)) == 1


def test_every_drawing_is_well_formed_and_within_its_box() -> None:
    drawings = re.findall(r"<svg.*?</svg>", page(everything()), re.DOTALL)
    assert len(drawings) == 5
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


def test_a_place_in_memory_is_warned_about() -> None:
    shaky = msgspec.structs.replace(ENVIRONMENT, folder_file_system="tmpfs")
    assert "durable figures mean nothing" in page(report(environment=shaky))
    assert "durable figures mean nothing" not in page(report())


def test_the_tables_hold_medians_spreads_and_ratios() -> None:
    text = tables(report(result([100, 120, 130]), result([60], "least-100-callers", subject="yardstick")))
    assert "| 100-callers | SQLite FULL | 120 commands/s | 100 – 130 | 500 / 990 / 999 / 1,000 |" in text
    assert "| 100-callers / least-100-callers | SQLite FULL | 120 | 60.0 | 2.00 |" in text


def test_a_scenario_that_is_no_more_is_shown_all_the_same() -> None:
    old = report(result([1.0], "a scenario of old"))
    assert "<b>a scenario of old</b>" in page(old)
    assert "| a scenario of old |" in tables(old)
