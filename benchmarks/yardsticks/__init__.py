"""Upper bounds for every answer: the minimal work of a process, SQLite alone, the disk."""
