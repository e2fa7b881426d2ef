"""Cases: wrong events are corrected by new events, step by step, and nobody has to remember where it stopped."""
