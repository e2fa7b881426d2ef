"""A bank in a process of its own that is killed while it works."""
