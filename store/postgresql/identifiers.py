"""The names of schemas, tables and columns in statements."""

NAME_BYTES_MAX = 63
"""PostgreSQL cuts longer names off."""


def quoted(name: str) -> str:
    """Return a name in quotes, whatever characters it contains."""
    return '"' + name.replace('"', '""') + '"'
