"""Two versions of one program."""
