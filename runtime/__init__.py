"""Many actors, one process: dispatch, scheduling, supervision, lifecycle."""
