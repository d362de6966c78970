"""What a pull is, on disk and in memory."""
