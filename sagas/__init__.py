"""Processes that survive crashes: sagas, durable commands and timers."""
