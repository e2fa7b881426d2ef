"""A bank in a separate process that is killed while it works."""
