"""What follows the log: processors, their checkpoints and dead letters, reactions, outlets."""
