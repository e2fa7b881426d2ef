"""Kills under mixed load: nothing is lost, doubled or stuck, and every causation chain is complete."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.mixed_kills import MixedKills
from support.mixed_load import KINDS, runtime_on

pytestmark = pytest.mark.about("sqlite", "its log is a file; `prove postgresql` kills processes on a server")


def test_kills_under_mixed_load_lose_double_and_stall_nothing(tmp_path: Path) -> None:
    found = MixedKills(tmp_path, seed=5).run(4)
    assert found.problems == []
    assert found.broken_chains == []
    assert found.caused > found.acknowledged
    # There was something of everything to be lost.
    assert set(found.tags) == set(KINDS)
    assert found.acknowledged > 50
    assert set(found.ends) >= {"Move completed", "Move undone", "Lease undone"}


@pytest.mark.parametrize("position", [3, 10**6])
def test_a_lost_or_misplaced_event_is_found(tmp_path: Path, position: int) -> None:
    kills = MixedKills(tmp_path, seed=5)
    kills._acknowledged["fill-999999"] = position  # as if somebody had been told so
    found = kills.run(1)
    assert found.problems != []


@pytest.mark.asyncio
async def test_a_start_with_every_kind_of_part_logs_one_line(tmp_path: Path) -> None:
    for _ in range(2):
        with capture_logs() as logs:
            async with runtime_on(tmp_path):
                pass
        assert [entry["event"] for entry in logs] == ["runtime_started", "runtime_stopped"]
