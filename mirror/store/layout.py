"""Where everything stands under the store's root; names only, no I/O.

``blobs/sha256/ab/abcdef…``, ``partial/<key>/`` and ``quarantine/<time>-<digest>/``
are on one file system, so that a rename gives a file its name. A name under
``partial/`` that begins with a dot is work in progress: it belongs to the process
that the name itself names, and to nobody once that has died.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[0-9a-f]{8,128}")

#: Seconds for which ``gc`` keeps a new blob without a row: its process may just be writing it.
GRACE = 60.0

#: A directory being prepared under ``partial/``, and one in which another's claim is taken over.
NEW = ".new-"
ADOPT = ".adopt-"
#: Where the partial stands inside the directory that takes it over.
LIFTED = "was"

# What a partial's directory, or a quarantined one, holds.
DATA = "data"
SPANS = "spans"
JOURNAL = "journal.json"
OWNER = "owner.json"
BYTES = "bytes"
EVIDENCE = "evidence.json"


class Layout:
    """Paths under one root.

    Args:
        root: The ``cache/`` directory; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs" / "sha256"
        self.partial = root / "partial"
        self.quarantine = root / "quarantine"
        self._blobs = os.fspath(self.blobs)

    def blob(self, sha256: str) -> str:
        """Return the path of a blob, as text: pathlib would take longer than the ``stat`` that follows.

        Raises:
            ValueError: ``sha256`` is not 64 lower-case hexadecimal digits.
        """
        if not is_sha256(sha256):
            raise ValueError(f"{sha256!r} is not a sha256")
        return f"{self._blobs}/{sha256[:2]}/{sha256}"

    def claim(self, key: str) -> Path:
        """Return the directory of a partial.

        Raises:
            ValueError: ``key`` is not made of hexadecimal digits.
        """
        if not is_key(key):
            raise ValueError(f"{key!r} is not the key of a partial")
        return self.partial / key


def is_sha256(name: str) -> bool:
    """Whether ``name`` can be the name of a blob."""
    return _SHA256.fullmatch(name) is not None


def is_key(name: str) -> bool:
    """Whether ``name`` can be the name of a partial."""
    return _KEY.fullmatch(name) is not None


def partial_key(*parts: str) -> str:
    """Return the key of the partial for what ``parts`` describe, the same in every process.

    The parts are counted as well as joined: ``("a", "bc")`` and ``("ab", "c")`` differ.
    """
    text = "".join(f"{len(part.encode())}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def nonce() -> str:
    """Return a name that nobody else has."""
    return os.urandom(8).hex()
