"""`CaseServices`: the parts of a running runtime that cases use."""

from __future__ import annotations

from typing import NamedTuple

from actorium.corrections.cases.keeper import CaseKeeper
from actorium.runtime.engine import Engine
from actorium.runtime.read_side import ReadSide
from actorium.sagas.execution.saga_engine import SagaEngine


class CaseServices(NamedTuple):
    """The parts of a running runtime that cases use."""

    engine: Engine
    reads: ReadSide
    sagas: SagaEngine
    keeper: CaseKeeper
