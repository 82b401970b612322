"""The tracking server's artifact stores: `folder` for a file system, `repository` for S3.

`upload` and `server` are how artifacts in S3 pass through it.
"""
