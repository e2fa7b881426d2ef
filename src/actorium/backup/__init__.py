"""Backups of a log: a directory of compressed events that grows by what is new, and the way back from it."""

from actorium.backup.folder import BackupFolder
from actorium.backup.manifest import Manifest, Segment
from actorium.backup.restoring import Restored, restore, verified
from actorium.backup.taking import back_up

__all__ = ["BackupFolder", "Manifest", "Restored", "Segment", "back_up", "restore", "verified"]
