"""Pulumi's resource-provider protocol, as far as both bundled plugins need it."""
