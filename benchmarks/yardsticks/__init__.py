"""What bounds every answer: the least that a process needs, SQLite by itself, the disk."""
