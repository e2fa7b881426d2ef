"""The log in PostgreSQL."""

from actorium.store.postgresql.adapter import PostgreSQLStore
from actorium.store.postgresql.nodes.node_store import PostgreSQLNodeStore

__all__ = ["PostgreSQLNodeStore", "PostgreSQLStore"]
