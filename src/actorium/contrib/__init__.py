"""Adapters for other libraries, each with an extra of its own; nothing in `actorium` imports them."""
