"""Pure functions of coordinates."""
