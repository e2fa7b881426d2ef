"""Carries out the recorded intents of sagas and submissions: routing, timing, retries, reports."""
