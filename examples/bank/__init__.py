"""A bank whose accounts record every transaction: a domain, and an importer that replays real transactions."""
