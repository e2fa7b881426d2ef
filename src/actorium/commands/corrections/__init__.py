"""The commands about wrong events: what they touched, what would differ, and how they are corrected."""
