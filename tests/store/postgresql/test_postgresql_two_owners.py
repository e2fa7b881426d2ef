"""Of two stores that both believe they own the log, only the one that took it over writes."""

import pytest
from support.two_owners import TwoOwners


@pytest.mark.asyncio
async def test_a_former_owner_writes_nothing_however_late_its_statements_arrive(url: str) -> None:
    found = await TwoOwners(url, seed=7).run(10)
    assert found.problems == []
    assert found.rounds == 10
    assert found.late > 0
    assert found.racing > 0
