"""Proofs of what the log promises: kills, power cuts, flipped bits, failing servers and connections."""
