"""Running many seeds, shrinking failures and exhausting single faults."""
