"""`docker.Container`: its properties, and what becomes of them in Docker."""
