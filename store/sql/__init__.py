"""Parts of the stores that keep their tables in an SQL database; most are for SQLite, in a file or in memory."""
