"""The reference lists every public name, with signatures; links between pages are valid."""

import re
from pathlib import Path

import pytest
from support.reference_page import COMMAND_LINE, PAGE, page, row

import actorium
from actorium import corrections, errors, instruments, services, simulation, testing, types, verification

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
NAME = re.compile(r"^\| (?:&emsp;)*`([\w.]+)", re.MULTILINE)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make reference`"


@pytest.mark.parametrize(
    "module", [actorium, corrections, errors, instruments, services, simulation, testing, types, verification]
)
def test_every_public_name_has_its_row(module: object) -> None:
    rows = {name.rpartition(".")[2] for name in NAME.findall(page())}
    wire = {"ErrorWire", "error_from_wire", "error_to_wire"} & set(dir(errors))
    assert set(module.__all__) - rows - wire == set()  # type: ignore[attr-defined]


def test_a_row_has_a_signature_and_a_summary() -> None:
    def moved(self: object, to: str, *, by: int | str = 1) -> None:
        """Move it. More of that."""

    assert row("moved", moved) == "| `moved(self, to, *, by=1)` | Move it |"


def test_methods_and_properties_of_a_runtime_are_distinguished() -> None:
    text = page()
    assert "| `runtime.store` | property: " in text
    assert re.search(r"\| `runtime\.send\(command, .*\)` \| async method: ", text)
    assert re.search(r"\| `runtime\.events\(.*\)` \| method: ", text)


def test_an_application_imports_at_most_47_names() -> None:
    assert len(actorium.__all__) <= 45


def test_every_row_has_a_summary() -> None:
    generated = page().partition(COMMAND_LINE)[0]
    rows = [line for line in generated.splitlines() if line.startswith("| ") and line != "| | |"]
    assert [line for line in rows if re.search(r"[:|] *\|$", line)] == []


def test_links_between_pages_are_valid() -> None:
    lost = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (ROOT / "docs").glob("**/*.md")
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert lost == []
