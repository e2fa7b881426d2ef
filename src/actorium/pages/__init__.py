"""HTML pages that need nothing else: the templates that all of them share, and what fills them in."""
