"""What gathers waiting appends and checkpoints, and passes them to the store."""
