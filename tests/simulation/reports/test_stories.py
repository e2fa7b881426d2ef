"""How a failure is reported: the story in one line, the token that reproduces it, the timeline, the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from support.small_bank import never_restarted_late
from support.small_scenarios import broken, holding
from support.transfers import Account, Ask, Desk, Open, Transfer

from actorium.simulation import World, simulation
from actorium.simulation.record.trace import TraceMark
from actorium.simulation.reports.page import page
from actorium.simulation.reports.story import options_of, story, token_of
from actorium.simulation.reports.timeline import timeline
from actorium.simulation.search.run import RunOptions
from actorium.simulation.world.faults import CrashAt, FaultId, Faults, Kind
from actorium.store.errors import ConfigurationError

LOST = FaultId(Kind.ANSWER_OF_STORE_LOST, "commit Sum<a>", 1)


def options(**changes: object) -> RunOptions:
    """Run options with one fault, with some fields changed."""
    return RunOptions(**{"seed": 7, "faults": Faults.all(), "only": frozenset([LOST]), "reorder": False, **changes})  # type: ignore[arg-type]


def test_a_story_names_what_is_left_of_a_run() -> None:
    outcome = broken.run(7, only=frozenset([LOST]), leave_out=frozenset(["Add a #2", "Add a #3"]))
    assert story(outcome) == (
        "seed 7 → 1 command (Add a), fault: acknowledgement of the commit lost (1st append to Sum<a>), found in Sum.add"
    )


def test_many_commands_are_counted_and_a_crash_is_named() -> None:
    outcome = holding.run(0, only=frozenset(), crash_at=CrashAt("node1", 1, 40))
    assert story(outcome) == "seed 0 → 4 commands (4 Add), crash before step 40 of node1.1, no fault"


def test_setup_commands_are_listed_separately() -> None:
    crash = frozenset([FaultId(Kind.CRASH_AFTER_COMMIT, "commit Account<a0>", 1)])
    outcome = never_restarted_late.run(0, only=crash, leave_out=frozenset(f"Deposit a0 #{n}" for n in range(2, 7)))
    assert story(outcome) == (
        "seed 0 → 1 command (Deposit a0) after 2 setup commands (Open a0, Open a1), "
        "fault: crash after the commit (1st append to Account<a0>)"
    )


@simulation(faults=Faults.none())
async def overdrawn(world: World) -> None:
    runtime = world.runtime([Account, Desk, Transfer])
    for name, balance in (("alice", 50), ("bob", 0)):
        await runtime.send(Open(name, balance))
    await runtime.send(Ask("desk", "alice", "bob", 70))


def test_saga_steps_are_shown_with_their_commands_and_reasons() -> None:
    outcome = overdrawn.run(0)
    told = "\n".join(line.text for line in outcome.trace if line.mark is TraceMark.COMMITTED)
    assert "commit Transfer<Desk/desk/1> v0 + saga started because of TransferRequested at Desk<desk> version 1" in told
    assert "saga debit: sends Withdraw to 'alice' at " in told
    assert "saga debit: failed: insufficient funds, saga undone: insufficient funds at " in told
    (lane,) = [lane for lane in timeline(outcome).lanes if lane.name == "Transfer<Desk/desk/1>"]
    assert any("saga debit: failed: insufficient funds" in spot.text for spot in lane.spots)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (FaultId(Kind.POWER_CUT, "disk write to log.db-wal of node1", 407), "407th write to log.db-wal of node1"),
        (FaultId(Kind.CHECKPOINT_FAILED, "checkpoint Balances", 2), "2nd checkpoint of Balances"),
        (FaultId(Kind.REPLY_LOST, "reply Add a", 11), "11th reply to Add a"),
    ],
)
def test_a_fault_is_described_by_its_place(fault: FaultId, told: str) -> None:
    assert str(fault) == f"{fault.kind} ({told})"


@pytest.mark.parametrize(
    "one",
    [
        options(),
        options(only=None),
        options(leave_out=frozenset(["Add a", "Add b #2"]), crash_at=CrashAt("node1", 2, 312), store="sqlite"),
    ],
)
def test_a_token_reproduces_the_same_run(one: RunOptions) -> None:
    token = token_of(one)
    assert re.fullmatch(r"[\w-]+", token)
    again = options_of(token)
    assert holding.run(one.seed, faults=again.faults, only=again.only).fingerprint() == (
        holding.run(one.seed, faults=one.faults, only=one.only).fingerprint()
    )
    assert (again.only, again.leave_out, again.crash_at, again.store) == (
        one.only,
        one.leave_out,
        one.crash_at,
        one.store,
    )


@pytest.mark.parametrize("spoil", [lambda token: token[:-3], lambda token: "x" + token, lambda token: "hello"])
def test_an_incomplete_token_is_rejected(spoil: object) -> None:
    with pytest.raises(ConfigurationError, match="copy the whole command"):
        options_of(spoil(token_of(options())))  # type: ignore[operator]


def test_a_timeline_has_a_lane_for_each_command_process_and_stream() -> None:
    outcome = broken.run(7, only=frozenset([FaultId(Kind.CRASH_AFTER_COMMIT, "commit Sum<a>", 1)]))
    drawing = timeline(outcome)
    names = [(lane.group, lane.name) for lane in drawing.lanes]
    assert names == [("clients", f"Add a{n}") for n in ("", " #2", " #3")] + [
        ("processes", "node1"),
        ("streams", "Sum<a>"),
    ]
    process, stream = drawing.lanes[-2:]
    assert [bar.kind for bar in process.bars] == ["starts", "serves", "starts", "serves"]
    assert [spot.mark for spot in process.spots if spot.mark is TraceMark.CRASHED] == [TraceMark.CRASHED]
    assert [spot.mark for spot in stream.spots][:2] == [TraceMark.FAULT, TraceMark.COMMITTED]
    assert drawing.violated == drawing.width
    places = [spot.x for lane in drawing.lanes for spot in lane.spots]
    assert all(0 <= x <= drawing.width for x in places)


class Elements(HTMLParser):
    """The elements of a page, and its references to the network."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.asked += [name for name, _ in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [name for name, _ in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_self_contained() -> None:
    outcome = broken.run(7, only=frozenset([LOST]))
    html = page([outcome], ["a <broken> sum"])
    elements = Elements()
    elements.feed(html)
    assert elements.open == []
    assert elements.asked == []
    assert "url(" not in html
    assert "a &lt;broken&gt; sum" in html
    assert "acknowledgement of the commit lost" in html
    assert "prefers-color-scheme: dark" in html
