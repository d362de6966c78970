"""Pulls as the networks learn from them, and generated ones as they are compared."""
