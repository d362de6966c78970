"""Structures: one module a format, and what is done with atoms read from any of them."""
