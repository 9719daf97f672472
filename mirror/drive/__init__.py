"""The user's own disk at Baidu: what a person saved there comes home through the official interface.

The way: ``session`` asks within the hour's calls, ``links`` and ``fetch`` bring one file,
in ranges, one after the other; ``bring`` hands what came to ``ingest``, which knows it by
content. Secrets stand in one private file and in memory, nowhere else.
"""

from __future__ import annotations
