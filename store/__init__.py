"""The log: events, the store seam and its adapters."""
