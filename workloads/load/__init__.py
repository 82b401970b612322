"""The load: users, their client and the processes that run them."""
