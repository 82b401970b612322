"""Saved results of several deployments, set side by side."""
