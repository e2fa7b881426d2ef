"""What is due, and when: the agenda of sagas and submitted commands, whole or in shares, and its tables."""
