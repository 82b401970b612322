"""Checks before and after a deployment; each problem is one line."""
