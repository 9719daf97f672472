"""What is held of one artifact, counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mirror.load.naming import may_hold_weights

if TYPE_CHECKING:
    from collections.abc import Set

    from mirror.ledger import Holding


@dataclass(slots=True)
class ArtifactStatus:
    """What is held of one artifact.

    Attributes:
        artifact: Its name.
        revision: Commit that was listed and is held, where there are revisions; None when it never was listed.
        files: Files that it consists of; 0 when it was never listed.
        held: How many of them are held.
        failed: How many failed at the last try.
        disputed: How many have bytes in the quarantine, or authorities that contradict each other.
        unsound: How many held files have weights in them that are not what their model needs.
        size: Bytes held.
        levels: Held files by evidence level.
        bundle: Whether it repeats the bytes of other artifacts.
        waits: Whether a person must fetch it, and has brought no weights.
        url: The address for that person; None when none was ever published.
        code: The extraction code for that person.
        tensors: What better known weights of the same model say of its own that were only seen first.
    """

    artifact: str
    revision: str | None = None
    files: int = 0
    held: int = 0
    failed: int = 0
    disputed: int = 0
    unsound: int = 0
    size: int = 0
    levels: dict[str, int] = field(default_factory=dict)
    bundle: bool = False
    waits: bool = False
    url: str | None = None
    code: str | None = None
    tensors: list[str] = field(default_factory=list)

    def add(self, holding: Holding, unsound: Set[str] = frozenset()) -> None:
        """Count the files of the artifact as it was listed; those in the blobs ``unsound`` once more."""
        self.revision = holding.revision
        for file in holding.files:
            self.files += 1
            self.failed += file.state == "failed"
            self.disputed += file.state == "disputed"
            if file.state == "held":
                self.held += 1
                self.unsound += file.sha256 in unsound
                self.waits = self.waits and not may_hold_weights(file.path)
                self.size += file.size or 0
                self.levels[file.level or "?"] = self.levels.get(file.level or "?", 0) + 1

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}
