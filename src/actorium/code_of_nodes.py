"""What the code of a node can do, as it tells the other nodes: see `NodeDescription`."""

from __future__ import annotations

from actorium.actors.commands import command_type_of
from actorium.catalog import Catalog
from actorium.runtime.cluster.description import NodeDescription, hash_of_fields, reads_of
from actorium.runtime.projections.table_projection import checkpoint_name
from actorium.runtime.services.service import Service
from actorium.sagas.execution.agenda_run import AGENDA


def node_description(catalog: Catalog, service: Service | None) -> NodeDescription:
    """Return what a runtime with these parts can do as a node."""
    aggregates = [*catalog.aggregates, *catalog.own_aggregates]
    commands = {
        f"{aggregate.__definition__.stream_type}/{command_type_of(command)}": hash_of_fields(command)
        for aggregate in aggregates
        for command in aggregate.__definition__.handlers
    }
    return NodeDescription("", reads_of(catalog.codec.shapes), commands, frozenset(_followers(catalog, service)))


def _followers(catalog: Catalog, service: Service | None) -> list[str]:
    """Return the names of the followers of the log that run on one node at a time."""
    projections = [one.__definition__ for one in catalog.projections]
    names = [checkpoint_name(one.name, one.version) for one in projections if one.has_tables]
    names += [f"reaction {one.name}" for one in catalog.reactions]
    names += [f"outlet {one.name}" for one in catalog.outlets]
    names += [f"schedule {one.name}" for one in catalog.schedules]
    names += [f"saga {one.__definition__.saga_type}" for one in catalog.sagas]
    if service is not None:
        names += [f"publish {service.name}"] if service.publishes else []
        names += [f"inbox {remote.name}" for remote in catalog.inbox_streams]
    return [*names, AGENDA]
