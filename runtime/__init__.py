"""Runs many actors in one process: dispatch, scheduling, supervision, lifecycle."""
