"""Mutants of what passes between services of several nodes, each with a door of its own."""

from typing import Any

import pytest
from simulation.mutants.mutant import mutant
from simulation.services.on_nodes import refusals_of_nodes

from actorium.actors.commands import Ack
from actorium.runtime.messages.answers import outcome_of
from actorium.runtime.services.door import Door
from actorium.runtime.services.peer import Peer


@mutant(refusals_of_nodes)
def a_node_answers_for_the_copies_of_others(patch: pytest.MonkeyPatch) -> None:
    """The reply of a node is about the copies that it has got; here about all that were sent before."""
    init = Door.__init__

    def init_as_if_alone(door: Door, *wanted: Any, is_on_node: bool) -> None:
        init(door, *wanted)

    patch.setattr(Door, "__init__", init_as_if_alone)


@mutant(refusals_of_nodes)
def a_refusal_is_told_while_another_copy_may_take_effect(patch: pytest.MonkeyPatch) -> None:
    """A refusal is told once no copy can take effect any more; here as soon as the last copy is refused."""

    async def settled_at_once(peer: Peer, ask: Any, unsettled: Any) -> Ack:
        return outcome_of(unsettled.reply, peer._codec)

    patch.setattr(Peer, "_settled", settled_at_once)
