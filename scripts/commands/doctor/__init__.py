"""Looks at the machine, the tools and what is deployed; changes nothing."""
