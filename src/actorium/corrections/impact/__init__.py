"""What some events caused: events, sagas, rows, snapshots and messages."""
