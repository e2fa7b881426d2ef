"""Long-running work that survives crashes: sagas, durable commands and timers."""
