"""Reading the log: pages, its newest events in memory, subscriptions, and aggregates as they were."""
