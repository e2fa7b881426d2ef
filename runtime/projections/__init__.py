"""Read models built from events, in tables or in memory, and queries over them."""
