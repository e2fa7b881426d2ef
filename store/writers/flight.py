"""`Flight`: a commit of the `GroupCommitWriter` that the store was asked for."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from actorium.store.errors import Transient
from actorium.store.event_store import Append, Appended, Snapshot

R = TypeVar("R", bound=Append)
Snapshots = list[tuple[Snapshot, asyncio.Future[None]]]


class Flight(Generic[R]):
    """One commit, with the futures that wait for it; `landing` is the store's reply."""

    __slots__ = ("_ids", "began_us", "landing", "outcome", "requests", "snapshots")

    landing: asyncio.Future[Appended]

    def __init__(self, requests: list[R], snapshots: Snapshots, began_us: int) -> None:
        self.requests = requests
        self.snapshots = snapshots
        self.began_us = began_us
        self.outcome: Appended | Transient | None = None
        self._ids: set[int] | None = None

    def holds(self, request: R) -> bool:
        """Return whether a request is in this commit; asked only after failures."""
        if self._ids is None:
            self._ids = set(map(id, self.requests))
        return id(request) in self._ids

    @property
    def all_written(self) -> bool:
        """Whether every append of the batch is in the log."""
        outcome = self.outcome
        return isinstance(outcome, Appended) and set(map(type, outcome.outcomes)) <= {int}
