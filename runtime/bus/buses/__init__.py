"""The adapters of `Bus`."""
