"""Self-contained HTML pages: their shared templates, and the function that renders them."""
