"""The log in PostgreSQL."""

from actorium.store.postgresql.adapter import PostgreSQLStore

__all__ = ["PostgreSQLStore"]
