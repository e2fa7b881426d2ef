"""Many nodes on one log: shards, routing, the life of a node, and followers that run on one node at a time."""
