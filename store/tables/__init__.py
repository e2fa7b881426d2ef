"""The tables beside the log, as the store interface exposes them: the runtime's own rows, and the SQL dialect."""
