"""Torch modules and losses; no files, no printing."""
