"""The tables beside the log: checkpoints and dead letters, the runtime's own tables, the dialect of projections."""
