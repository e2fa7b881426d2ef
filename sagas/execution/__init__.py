"""Carries out what sagas and submissions have recorded: routing, timing, retries, reports."""
