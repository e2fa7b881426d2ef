"""The reference names everything public, once, and nothing else; links between pages lead somewhere."""

import re
from pathlib import Path

import actorium
from actorium import Runtime, errors, simulation
from actorium.runtime.processors.processors import AllDeadLetters
from actorium.sagas.sagas import Sagas
from actorium.sagas.submissions import Submissions

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.]+)` \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def test_every_public_name_has_its_line() -> None:
    rows = [name for name, _ in ROW.findall(REFERENCE) if "." not in name]
    assert sorted(rows) == list(actorium.__all__), "docs/reference.md: add or drop a line"


def test_every_error_has_its_line() -> None:
    rows = [name.removeprefix("errors.") for name, _ in ROW.findall(REFERENCE) if name.startswith("errors.")]
    assert sorted(rows) == sorted(set(errors.__all__) - set(actorium.__all__))


def public(kind: type) -> dict[str, object]:
    return {name: getattr(kind, name) for name in sorted(dir(kind)) if not name.startswith("_")}


def lines_of(heading: str) -> list[str]:
    section = REFERENCE.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return [name.removeprefix("runtime.") for name, _ in ROW.findall(section)]


def test_the_methods_and_the_properties_of_a_runtime_have_their_lines_apart() -> None:
    methods = [name for name, member in public(Runtime).items() if callable(member)]
    assert lines_of("Methods of a runtime") == methods
    assert lines_of("Properties of a runtime") == [name for name in public(Runtime) if name not in methods]


def test_everything_that_a_group_does_has_its_line() -> None:
    groups: dict[str, type] = {"dead_letters": AllDeadLetters, "sagas": Sagas, "submissions": Submissions}
    does = [f"{group}.{name}" for group, kind in groups.items() for name in public(kind)]
    assert lines_of("What the groups do") == does


def test_every_name_of_the_simulator_has_its_line() -> None:
    rows = [name.removeprefix("simulation.") for name, _ in ROW.findall(REFERENCE) if name.startswith("simulation.")]
    assert sorted(rows) == list(simulation.__all__)


def test_links_between_pages_lead_somewhere() -> None:
    lost = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (ROOT / "docs").glob("**/*.md")
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert lost == []
