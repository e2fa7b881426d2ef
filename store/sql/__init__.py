"""The SQL of stores that keep their tables in SQLite, in a file or in memory."""
