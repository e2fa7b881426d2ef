"""What crosses the HTTP of a console: requests, queries, and the values that it answers with."""
