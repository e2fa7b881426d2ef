"""The commands that take, restore and check backups."""
