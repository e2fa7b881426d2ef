"""`audit_bank`: lets a bank come to rest after the faults, and compares everything with everything."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from actorium import Runtime
from actorium.examples.bank.domain import Account, AccountOpened, Credited, Debited
from actorium.examples.bank.faults.findings import FaultFindings
from actorium.examples.bank.faults.load import CALLERS, PARTS, work
from actorium.examples.bank.projections import Balances
from actorium.examples.bank.transfers import TransferOrder, TransferOrdered

_SENT_AGAIN = 3 * CALLERS
_AT_REST_WITHIN_S = 120.0
_EFFECTS = (AccountOpened, Credited, Debited, TransferOrdered)


async def audit_bank(url: str, acknowledged: Mapping[str, int], found: FaultFindings) -> None:
    """Add to `found` what is wrong with a bank whose processes are gone."""
    async with Runtime(PARTS, store=url) as runtime:
        numbers = sorted(int(id[1:]) for id in acknowledged if id.startswith("w"))
        for number in numbers[-_SENT_AGAIN:]:
            ack = await work(runtime, number)
            if ack.position != acknowledged[ack.command_id]:
                found.moved += 1
                found.note(f"{ack.command_id} moved from position {acknowledged[ack.command_id]} to {ack.position}")
        await _come_to_rest(runtime, found)
        found.acknowledged = len(acknowledged)
        balances = await _read(runtime, acknowledged, found)
        await _compare(runtime, balances, found)


async def _come_to_rest(runtime: Runtime, found: FaultFindings) -> None:
    ends_at = time.monotonic() + _AT_REST_WITHIN_S
    while left := await _left(runtime):
        if time.monotonic() > ends_at:
            found.unfinished += len(left)
            for one in left:
                found.note(f"came to no end: {one}")
            return
        await asyncio.sleep(0.1)


async def _left(runtime: Runtime) -> list[str]:
    statistics = runtime.statistics()
    return [
        *[one.name for one in statistics.processors if one.position < statistics.position or one.parked],
        *[f"saga {one.id}" async for one in runtime.sagas.list() if one.status not in ("completed", "undone")],
        *[f"submission {one.command_id}" async for one in runtime.submissions.list(status="waiting")],
    ]


async def _read(runtime: Runtime, acknowledged: Mapping[str, int], found: FaultFindings) -> Counter[str]:
    """Read the whole log; return the balance of each account by its events."""
    end = runtime.statistics().position
    versions: Counter[object] = Counter()
    ids: dict[int, str] = {}
    effects: Counter[str] = Counter()
    balances: Counter[str] = Counter()
    async for recorded in runtime.events():
        found.events += 1
        versions[recorded.stream] += 1
        if (recorded.position, recorded.version) != (found.events, versions[recorded.stream]):
            found.gaps += 1
            found.note(f"{recorded.stream} version {recorded.version} at position {recorded.position}")
        ids[recorded.position] = recorded.metadata.command_id
        event = recorded.event
        if isinstance(event, _EFFECTS):
            effects[recorded.metadata.command_id] += 1
        if isinstance(event, AccountOpened | Credited):
            balances[recorded.stream_id] += getattr(event, "amount", 0)
        elif isinstance(event, Debited):
            balances[recorded.stream_id] -= event.amount
        if recorded.position == end:
            break
    for id, position in acknowledged.items():
        if not ids.get(position, "").endswith(id):
            found.lost += 1
            found.note(f"{id} was acknowledged at position {position} and is not there")
        elif id not in effects:
            found.lost += 1
            found.note(f"{id} was acknowledged and had no effect")
    for id, times in effects.items():
        if times > 1:
            found.duplicated += 1
            found.note(f"{id} took effect {times} times")
    return balances


async def _compare(runtime: Runtime, balances: Counter[str], found: FaultFindings) -> None:
    for account, expected in balances.items():
        balance = (await runtime.get(Account, account)).balance
        row = await runtime.query(Balances.of, account)
        if not balance == row == expected:
            found.wrong_balances += 1
            found.note(f"account {account}: its events sum to {expected}, its state is {balance}, its row {row}")
    async for saga in runtime.sagas.list():
        found.sagas += 1
        status = (await runtime.get(TransferOrder, saga.id)).status
        if status not in ("settled", "returned"):
            found.unfinished += 1
            found.note(f"transfer {saga.id} is {status}")
