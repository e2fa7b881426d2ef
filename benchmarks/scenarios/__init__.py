"""The scenarios that this runtime goes through, each a small file."""
