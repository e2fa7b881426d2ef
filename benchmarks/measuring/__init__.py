"""The parts shared by the scenarios: load, clocks, checks and the description of the machine."""
