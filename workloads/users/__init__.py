"""What people do with a tracking server, as Locust users."""
