"""What every S3 service of a stack has: one bucket, and one user who reaches it."""

BUCKET = "mlflow"
USER = "mlflow"
PORT = 9000
REGION = "us-east-1"
