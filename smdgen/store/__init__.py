"""Files that smdgen writes and reads back."""
