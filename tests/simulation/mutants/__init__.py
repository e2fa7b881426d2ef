"""Bugs planted in the runtime, and the proof that the simulator finds each of them."""
