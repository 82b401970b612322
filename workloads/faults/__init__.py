"""What breaks a remote MLflow in production, done to a deployed stack."""
