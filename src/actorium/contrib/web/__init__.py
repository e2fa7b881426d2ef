"""What the adapters for web frameworks share; it depends on no framework."""
