"""Names of the files of a comparison; `scripts/bench --compare` writes what `compare` reads."""

PLAN = "comparison.json"
"""What was decided before it started."""

PROGRESS = "deployments.jsonl"
"""A line when a deployment begins, and one when it has ended."""
