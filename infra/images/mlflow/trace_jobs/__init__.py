"""MLflow's periodic tasks for traces, and their deletion, by one process of a deployment."""
