"""A real PostgreSQL server, and a proxy in front of one, for proofs, benchmarks and tests."""
