"""Two services in two processes, connected by a NATS server."""
