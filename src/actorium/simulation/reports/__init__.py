"""What a campaign found, as a story, JSON and a page."""
