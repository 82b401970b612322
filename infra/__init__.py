"""The deployments: a Pulumi program that turns a stack file into running components."""
