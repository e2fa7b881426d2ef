"""What a cluster gains from more nodes, each with a share of a processor: `python -m actorium.benchmarks.nodes`."""
