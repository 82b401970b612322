"""Labels by which everything of a stack is told from everything else."""

LABEL_STACK = "mlflow-bench.stack"
LABEL_COMPONENT = "mlflow-bench.component"
LABEL_DEPLOYMENT = "mlflow-bench.deployment"
