"""Scenarios and tests of simulated services."""
