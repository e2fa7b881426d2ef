"""The commands that show whether a log was changed after the fact."""
