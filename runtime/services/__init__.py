"""Between services: commands as request and reply over a bus, and events as streams on it."""
