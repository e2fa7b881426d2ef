"""Where the events of a stream are: on the disk, and, for the newest, in memory."""
