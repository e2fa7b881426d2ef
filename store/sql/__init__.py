"""Parts of the stores that keep their tables in an SQL database, in a file, in memory or on a server."""
