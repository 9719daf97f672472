"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# No test depends on speed: by itself hypothesis fails an example after 200 ms, which any may take on a busy machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
