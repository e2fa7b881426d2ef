"""Several nodes on one log in PostgreSQL: who they are, what they own, and the messages between them."""
