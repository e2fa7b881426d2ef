"""Connections to a PostgreSQL server: how they are opened, used and repeated."""
