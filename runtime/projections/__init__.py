"""Read models made of events, in tables or in memory, and queries over them."""
