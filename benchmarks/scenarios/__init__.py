"""The scenarios of this runtime, each in a small file."""
