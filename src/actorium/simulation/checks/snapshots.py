"""`SavedStates`: every committed snapshot equals the state that the log's events give at its version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.event_store import Snapshot
from actorium.store.names import StreamName


class SavedStates:
    """Folds each stream that has snapshots in step with them, so that no event is applied twice."""

    def __init__(self, witness: Witness, view: View, violated: Violated) -> None:
        self._witness = witness
        self._view = view
        self._violated = violated
        self._folds: dict[StreamName, tuple[int, Any]] = {}
        self._decoders: dict[str, Callable[[bytes], Any]] = {}

    def committed(self, snapshots: Sequence[Snapshot]) -> None:
        """Check the snapshots of one commit, after its events."""
        for snapshot in snapshots:
            records = self._witness.streams.get(snapshot.stream, [])
            if snapshot.version > len(records):
                wanted = f"{snapshot.stream} no later than version {len(records)}"
                self._violated(
                    "a snapshot holds only durable events", wanted, f"a snapshot of version {snapshot.version}"
                )
                continue
            expected = self._at(snapshot.stream, snapshot.version)
            found = self._decoded(snapshot)
            if found != expected:
                what = f"{snapshot.stream} at version {snapshot.version} as {expected}"
                self._violated("a snapshot equals replayed state", what, found)

    def _at(self, stream: StreamName, version: int) -> Any:
        reached, state = self._folds.get(stream, (0, None))
        if state is None or reached > version:
            reached, state = 0, self._view.empty(stream)
        for record in self._witness.streams[stream][reached:version]:
            self._view.evolve(state, record)
        self._folds[stream] = version, state
        return state

    def _decoded(self, snapshot: Snapshot) -> Any:
        kind = snapshot.stream.type
        decode = self._decoders.get(kind)
        if decode is None:
            decode = self._decoders[kind] = msgspec.json.Decoder(type(self._view.empty(snapshot.stream))).decode
        try:
            return decode(snapshot.state)
        except msgspec.MsgspecError as error:
            return f"{snapshot.state!r}: {error}"
