"""The audit of the demonstration: reads the three logs, and compares what they say with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from actorium import RecordedEvent
from actorium.examples.shop.messages import (
    CreditReleased,
    CreditReserved,
    CustomerOpened,
    OrderApproved,
    OrderPlaced,
    OrderRejected,
    ShipmentArranged,
    ShipmentCancelled,
)
from actorium.examples.shop.serve import SERVICES
from actorium.store.events import Event
from actorium.store.urls import open_store

_PAGE = 1_000
_FROM = {
    "orders": (OrderPlaced, OrderApproved, OrderRejected),
    "customers": (CreditReserved, CreditReleased),
    "shipping": (ShipmentArranged, ShipmentCancelled),
}
_FOLLOWERS = {"orders": ("customers", "shipping"), "customers": ("orders",), "shipping": ("orders",)}


class ShopAudit(msgspec.Struct):
    """What the logs say; `problems` is empty if every promise was kept."""

    approved: int = 0
    rejected: int = 0
    credit: int = 0
    shipments: int = 0
    published: int = 0
    problems: list[str] = []


async def audited(store: Callable[[str], str], placed: Mapping[str, int]) -> ShopAudit:
    """Audit the logs of services that have stopped; `placed` holds the amount of each order."""
    events = {name: [one async for one in _events(name, store(name))] for name in SERVICES}
    audit = ShopAudit()
    approved, rejected = _orders(audit, events["orders"], placed)
    _credit(audit, events["customers"], approved)
    _shipments(audit, events["shipping"], approved)
    for name, followers in _FOLLOWERS.items():
        for follower in followers:
            _published(audit, name, events[name], follower, events[follower])
    audit.approved, audit.rejected = len(approved), len(rejected)
    return audit


async def _events(name: str, url: str) -> AsyncIterator[RecordedEvent[Event]]:
    codec = SERVICES[name]("memory://audit", "memory://").catalog.codec
    store = open_store(url)
    await store.open()
    try:
        position = 0
        while records := await store.read_log(position, _PAGE):
            for record in records:
                for recorded in codec.recorded(record):
                    yield recorded
            position = records[-1].position
    finally:
        await store.close()


def _orders(
    audit: ShopAudit, events: list[RecordedEvent[Event]], placed: Mapping[str, int]
) -> tuple[dict[str, int], set[str]]:
    """Check that each order was placed once, and is approved or rejected."""
    seen = Counter(one.stream_id for one in events if isinstance(one.event, OrderPlaced))
    approved = Counter(one.stream_id for one in events if isinstance(one.event, OrderApproved))
    rejected = Counter(one.stream_id for one in events if isinstance(one.event, OrderRejected))
    for order in placed:
        if seen[order] != 1:
            audit.problems.append(f"order {order} was placed {seen[order]} times")
        if approved[order] + rejected[order] != 1:
            audit.problems.append(f"order {order} was approved {approved[order]} and rejected {rejected[order]} times")
    return {order: placed[order] for order in approved}, set(rejected)


def _credit(audit: ShopAudit, events: list[RecordedEvent[Event]], approved: Mapping[str, int]) -> None:
    """Check that the credit reserved is that of the approved orders, and within the limits."""
    limits: dict[str, int] = {}
    reserved: dict[str, dict[str, int]] = {}
    for one in events:
        event, credit = one.event, reserved.setdefault(one.stream_id, {})
        if isinstance(event, CustomerOpened):
            limits[one.stream_id] = event.limit
        elif isinstance(event, CreditReserved):
            credit[event.order] = event.amount
        elif isinstance(event, CreditReleased):
            del credit[event.order]
        if sum(credit.values()) > limits.get(one.stream_id, 0):
            audit.problems.append(f"customer {one.stream_id} exceeded its limit at position {one.position}")
    held = {order: amount for credit in reserved.values() for order, amount in credit.items()}
    for order in sorted({*held, *approved}):
        if held.get(order) != approved.get(order):
            audit.problems.append(
                f"order {order} has {held.get(order, 0)} of credit, but {approved.get(order, 0)} was approved"
            )
    audit.credit = sum(held.values())


def _shipments(audit: ShopAudit, events: list[RecordedEvent[Event]], approved: Mapping[str, int]) -> None:
    """Check that exactly the approved orders are shipped, once."""
    arranged = Counter(one.stream_id for one in events if isinstance(one.event, ShipmentArranged))
    arranged.subtract(one.stream_id for one in events if isinstance(one.event, ShipmentCancelled))
    for order in sorted({*arranged, *approved}):
        if arranged[order] != (order in approved):
            audit.problems.append(f"order {order} is shipped {arranged[order]} times")
    audit.shipments = sum(arranged.values())


def _published(
    audit: ShopAudit,
    name: str,
    events: list[RecordedEvent[Event]],
    follower: str,
    followed: list[RecordedEvent[Event]],
) -> None:
    """Check that each event that a service published arrived at a follower once, in the order of its stream."""
    sent: dict[str, list[str]] = {}
    for one in events:
        if isinstance(one.event, _FROM[name]) and one.stream_type != name and ":" not in one.stream_type:
            sent.setdefault(one.stream_id, []).append(f"{name}:{one.event_id}")
    arrived: dict[str, list[str]] = {}
    for one in followed:
        if one.stream_type == name:
            arrived.setdefault(one.stream_id, []).append(one.metadata.causation_id)
    for stream in sorted({*sent, *arrived}):
        if sent.get(stream) != arrived.get(stream):
            audit.problems.append(
                f"{name} published {sent.get(stream, [])} of {stream}, {follower} has {arrived.get(stream, [])}"
            )
    audit.published += sum(map(len, sent.values()))
