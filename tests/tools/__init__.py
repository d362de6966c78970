"""What the tests bring along: made-up pulls and a stand-in for VMD."""
