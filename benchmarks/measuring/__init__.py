"""Load, clocks, checks and the machine that the scenarios share."""
