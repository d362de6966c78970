"""What programs write beside a trajectory while they pull: CVs, restraint centres, work."""
