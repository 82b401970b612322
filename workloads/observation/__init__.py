"""Looking at the system under test while it is under load."""
