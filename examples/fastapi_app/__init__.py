"""A bank account behind FastAPI: commands by POST, state by GET, the log as server-sent events."""
