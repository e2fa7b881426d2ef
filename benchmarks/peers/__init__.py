"""The same work in other packages, measured if they are installed (extra `bench-peers`)."""
