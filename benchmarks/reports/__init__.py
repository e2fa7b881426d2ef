"""The results of a suite on the terminal, as Markdown, JSON and a page."""
