"""How a command travels from its caller to its actor and back: admission, dispatch, scheduling, replies."""
