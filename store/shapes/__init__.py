"""Which classes of message can be stored as JSON, and whether what comes back is the same."""
