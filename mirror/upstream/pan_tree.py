"""What is behind a share, and how its interfaces write that down.

A tree is made of mappings: a name leads to another mapping, to a ``Content``, or to a number of
bytes where nobody ever looks at them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias

from mirror.wire.pan import ShareSecret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.upstream.content import Content

Tree: TypeAlias = "Mapping[str, Content | int | Tree]"

_WHEN = 1589000000


@dataclass(frozen=True, slots=True)
class Habits:
    """How one share is written down; every variety has been seen somewhere.

    Attributes:
        wrapping: Of the JSON in its page: ``mset``, ``script`` or ``try``.
        file_list: Kind of the page's ``file_list``: ``array``, ``object`` or ``string``.
        numbers: ``mixed`` (text at the root, numbers below), ``text`` or ``number``.
        page_size: Entries of a page at the most, whatever is asked for.
        repeats: Whether every further page is the first one again.
        ids: Whether a listing of the root names the share's numbers.
        sharelink: Whether paths begin with a made-up ``sharelink`` segment.
        entities: Whether names have HTML entities in them.
    """

    wrapping: str = "mset"
    file_list: str = "array"
    numbers: str = "mixed"
    page_size: int = 100
    repeats: bool = False
    ids: bool = True
    sharelink: bool = False
    entities: bool = True


@dataclass(frozen=True, slots=True)
class PanShare:
    """One share.

    Attributes:
        surl: Its id, without the ``1``.
        code: Extraction code; None for a share that wants none.
        uk: Number of whoever shares.
        shareid: Number of the share.
        tree: What is behind it.
        state: ``alive``, ``gone``, ``missing``, ``captcha``, ``blocked`` or ``bounced``.
        habits: How it is written down.
    """

    surl: str
    code: str | None = None
    uk: int = 1100998877665
    shareid: int = 4012345678
    tree: Tree = field(default_factory=dict)
    state: str = "alive"
    habits: Habits = Habits()

    @property
    def secret(self) -> ShareSecret:
        """What proves that the code was accepted; it holds both signs that spellings differ in."""
        return ShareSecret("+/" + hashlib.sha256(f"{self.surl}/{self.code}".encode()).hexdigest()[:41] + "=")

    def folder(self, path: str) -> list[Node] | None:
        """Return what lies in the folder at ``path``, the root's when it is empty; None where there is none."""
        if not path:
            return list(self._nodes(self.tree, ""))
        for node in self._walk(self.tree, ""):
            if node.path == path and node.tree is not None:
                return list(self._nodes(node.tree, path))
        return None

    def _walk(self, tree: Tree, above: str) -> Iterator[Node]:
        for node in self._nodes(tree, above):
            yield node
            if node.tree is not None:
                yield from self._walk(node.tree, node.path)

    def _nodes(self, tree: Tree, above: str) -> Iterator[Node]:
        start = f"/sharelink{self.uk}-{self.shareid}" if self.habits.sharelink else "/模型"
        for name, what in tree.items():
            path = f"{above or start}/{name}"
            # Most ids are beyond what a floating-point number holds exactly, as they are in the wild.
            number = int.from_bytes(hashlib.sha256(f"{self.surl}{path}".encode()).digest()[:8], "big") >> 1
            yield Node(name, path, number, what)


@dataclass(frozen=True, slots=True)
class Node:
    """One file or folder of a share."""

    name: str
    path: str
    fs_id: int
    what: Content | int | Tree

    @property
    def tree(self) -> Tree | None:
        """What lies in a folder; None of a file."""
        return self.what if isinstance(self.what, Mapping) else None

    @property
    def size(self) -> int:
        """Bytes of a file; a real one is made for it."""
        if isinstance(self.what, Mapping):
            return 0
        return self.what if isinstance(self.what, int) else self.what.size

    def entry(self, habits: Habits, *, text: bool) -> dict[str, Any]:
        """Return it as listings have it; ``text`` makes its numbers strings."""
        numbers = {
            "fs_id": self.fs_id,
            "isdir": int(self.tree is not None),
            "size": self.size,
            "category": 6,
            **dict.fromkeys(("local_ctime", "local_mtime"), _WHEN),
            **dict.fromkeys(("server_ctime", "server_mtime"), _WHEN + 100),
        }
        name = escape(self.name) if habits.entities else self.name
        written = {key: str(value) for key, value in numbers.items()} if text else numbers
        return {**written, "server_filename": name, "path": self.path, "md5": ""}
