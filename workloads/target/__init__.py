"""What is tested: a stack or a server, and what it consists of."""
