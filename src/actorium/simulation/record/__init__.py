"""What happened in a simulated run: history, trace, timeline, and the state folded from it."""
