"""What the networks read and write in place of coordinates."""
