"""Commands for an application: through its control socket or its console while it runs, else about its log."""
