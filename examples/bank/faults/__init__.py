"""A bank on PostgreSQL, in two processes, while processes, connections and the server fail."""
