"""The same work in other packages, measured where they are installed (extra `bench-peers`)."""
