"""What is the same of a component on every platform: commands, settings, ports, files."""
