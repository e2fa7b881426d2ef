"""Follows the log: processors, their checkpoints and dead letters, reactions, outlets."""
