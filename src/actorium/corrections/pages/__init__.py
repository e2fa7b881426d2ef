"""The reports of corrections as HTML pages."""
