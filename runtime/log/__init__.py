"""Reads the log: pages, the newest events in memory, subscriptions, and past states of aggregates."""
