"""Filling a database with traces that are known: by copying rows, or by the real API."""
