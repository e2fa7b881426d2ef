"""`NodeStarter`: creates the nodes of a world, each with a log of its own, or several on one log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import partial

from actorium.application import Runtime
from actorium.runtime.cluster.cluster import Cluster
from actorium.simulation.checks import Checks
from actorium.simulation.record.history import History
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.simulation.world.code_faults import CodeFaults
from actorium.simulation.world.configuration import Release
from actorium.simulation.world.logs import ClusterLog, ClusterNodeLog, Log
from actorium.simulation.world.node import Node
from actorium.simulation.world.surroundings import Surroundings
from actorium.store.errors import ConfigurationError
from actorium.store.source import SeededSource
from actorium.user_code.lines import waiting_place

_PLACES_MAX = 5  # the number of places named at which an endless run waits


class NodeStarter:
    """Starts nodes; `nodes` holds those of the world, in the order of their creation."""

    def __init__(
        self, world: Surroundings, stack: ExitStack, leave_out: Collection[str], *, looks_closely: bool
    ) -> None:
        self._world = world
        self._stack = stack
        self._leave_out = leave_out
        self._looks_closely = looks_closely
        self._code_faults: CodeFaults | None = None
        self.nodes: list[Node] = []

    def start(self, name: str, log: Log, makes: Sequence[Callable[..., Runtime]]) -> Node:
        """Start a node on a log of its own; `makes` make the runtimes of its releases."""
        world = self._world
        releases = [Release(make, make(store=log.connect(), source=SeededSource())) for make in makes]
        model = releases[0].model
        witness, history = Witness(), History(self._leave_out)
        view = View(witness, model)
        checks = Checks(view, witness, history, model, world.violated, world.chance, looks_closely=self._looks_closely)
        node = Node(world, name, log, releases, witness, history, view, checks)
        return self._begun(node, [release.model for release in releases])

    def start_cluster(self, name: str, make: Callable[..., Runtime], count: int) -> list[Node]:
        """Start the nodes of a cluster, whose runtimes `make` makes; they share the log, its record and its checks."""
        if count < 1:
            raise ConfigurationError(f"{name!r} with nodes={count}: a cluster has at least one node")
        log = ClusterLog(self._world)
        started: list[Node] = []
        for number in range(1, count + 1):
            node_name = f"{name}-{number}"
            make_node = partial(make, Cluster(node=node_name))
            node_log = ClusterNodeLog(log)
            if not started:
                started.append(self.start(node_name, node_log, [make_node]))
                continue
            like = started[0]
            release = Release(make_node, like.model)
            shared = (like.witness, like.history, like.view, like.checks)
            started.append(self._begun(Node(self._world, node_name, node_log, [release], *shared), []))
        return started

    def _begun(self, node: Node, models: Sequence[Runtime]) -> Node:
        self.nodes.append(node)
        if self._code_faults is None:
            self._code_faults = CodeFaults(self._world)
            self._stack.callback(self._code_faults.take_out)
        for model in models:
            self._code_faults.put_into(model)
        node.start()
        return node

    def waiting_places(self) -> str:
        """Describe where the user's code waits, as the end of a sentence; empty if it does not wait."""
        lives = [life.loop for node in self.nodes for life in node.lives if not life.loop.is_dead]
        tasks = [task for loop in (self._world.loop, *lives) for task in loop.unfinished()]
        places = dict.fromkeys(waiting_place(task.get_coro()) for task in tasks)
        places.pop("", None)
        return f"; waiting: {'; '.join(list(places)[:_PLACES_MAX])}" if places else ""
