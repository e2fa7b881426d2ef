"""Finding and repairing damage in a SQLite log."""
