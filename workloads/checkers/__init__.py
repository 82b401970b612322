"""From files to findings: no checker asks a server."""
