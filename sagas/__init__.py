"""Processes that survive: sagas, durable commands, timers, the outlet."""
