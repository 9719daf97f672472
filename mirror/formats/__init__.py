"""What containers hold, one file per kind: bytes in; names, views and digests out. Never unpickled or unpacked."""
