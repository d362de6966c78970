"""File formats of the field: structures, trajectories, tables of pulls."""
