"""The schema job: brings a backend store to the image's schema revision, or refuses.

It runs once before any tracking server. Everything happens in one transaction under a PostgreSQL
advisory lock, so jobs that start together follow one another, and one that is killed or refuses
leaves the database as it was.
"""
