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

    look: on a node of a cluster, where a follower of the log may run on another node: has this node carry out soon what
        cases say to the followers that it runs.
    """

    engine: Engine
    reads: ReadSide
    sagas: SagaEngine
    keeper: CaseKeeper
    look: Callable[[], None] | None = None
