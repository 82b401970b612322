"""What `mlflow gc` removes, and what it leaves behind of it."""
