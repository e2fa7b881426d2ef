"""Which classes of message JSON can carry, and whether a value survives the round trip."""
