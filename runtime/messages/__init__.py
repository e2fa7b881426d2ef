"""Commands and replies between processes: frames, acknowledgements and errors on the wire, windows, repetition."""
