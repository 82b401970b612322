"""Images of `infra/images`, from their build context to what a container runs."""
