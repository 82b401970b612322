"""Several stacks one after another, tested alike and set side by side."""
