"""The record of a simulated run: history, trace, timeline, and the state folded from the log."""
