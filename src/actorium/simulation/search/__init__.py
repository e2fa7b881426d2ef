"""The search for failures: running many seeds, shrinking failures and trying all single faults."""
