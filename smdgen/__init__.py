"""smdgen learns steered-MD pulls and generates new ones."""

__version__ = "0.1.0"
