"""Trajectories: strict readers, the box, times and restarts."""
