"""What of the tables beside the log crosses the seam: the rows of the runtime's own tables, and the SQL dialect."""
