"""What the official plugins do, as facts that are tested on them and on the bundled ones."""
