"""`CaseServices`: the parts of a running runtime that cases use."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from actorium.corrections.cases.keeper import CaseKeeper
from actorium.runtime.engine import Engine
from actorium.runtime.read_side import ReadSide
from actorium.sagas.saga_engine import SagaEngine


class CaseServices(NamedTuple):
    """The parts of a running runtime that cases use.

    look: only on a node of a cluster: has the node look soon at what cases demand of the followers that it runs.
    """

    engine: Engine
    reads: ReadSide
    sagas: SagaEngine
    keeper: CaseKeeper
    look: Callable[[], None] | None = None
