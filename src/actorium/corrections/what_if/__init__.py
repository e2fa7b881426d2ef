"""What would be different with other events, or with other code: a run of the log in memory, without effects."""
