"""What a suite measured, on the terminal, as Markdown, JSON and a page."""
