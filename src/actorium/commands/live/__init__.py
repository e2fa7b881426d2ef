"""Commands for an application while it runs, through its control socket, and for its log while it does not."""
