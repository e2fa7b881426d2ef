"""Reports of a campaign: as a story, as JSON and as a page."""
