"""A bank on several nodes of one log, while nodes, connections and servers fail, nodes join and nodes leave."""
