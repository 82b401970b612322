"""Scenarios that deploy: they are the launcher's, as a workload only uses what is deployed."""
