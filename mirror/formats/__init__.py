"""What containers hold, one file per kind: bytes in; names, spans and digests out. Never unpickled or unpacked."""
