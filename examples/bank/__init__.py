"""A bank whose accounts keep every transaction: a domain, and an importer that replays real ones."""
