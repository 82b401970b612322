"""What this image's programs assume of MLflow's inside, looked at when the image is built.

MLflow promises nothing of it. Another release is refused by the name of what it has not, in one
line, and not by a server that answers wrongly.
"""
