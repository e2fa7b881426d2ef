"""Scenarios and tests of simulated clusters."""
