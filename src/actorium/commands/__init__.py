"""What can be done from a command line; needs the extra `cli`."""
