"""The load that is put on a deployment, and the judgement of what came back."""
