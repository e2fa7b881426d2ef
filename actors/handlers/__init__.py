"""What a runtime adds to the handlers of an aggregate: checks and encryption."""
