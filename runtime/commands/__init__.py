"""A command's way from its caller to its actor and back: admission, dispatch, scheduling, replies."""
