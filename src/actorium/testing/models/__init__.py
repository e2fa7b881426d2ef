"""Models of logs that processes share, in plain Python."""
