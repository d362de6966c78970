"""Coordinates as geometry sees them: bonds, internal coordinates, collective variables, boxes; no files."""
