"""Schedules: commands that are submitted again and again, at times given by a cron expression or an interval."""
