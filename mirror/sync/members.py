"""What is inside the archives of a pull, held against what the catalog says.

Archives stay as published. Their members are listed with CRC-32 and sha256; one that
breaks a pin, or is a look-alike that must be refused, makes the archive disputed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import IntegrityError
from mirror.model import Claim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mirror.catalog import Artifact, PinnedFile
    from mirror.formats.archive import Member

_ARCHIVES = (".zip", ".tar.gz", ".tgz")


def is_archive(path: str) -> bool:
    """Whether a path is that of an archive whose members are listed."""
    return path.lower().endswith(_ARCHIVES)


class Insides:
    """Looks inside one archive; afterwards has its members.

    Args:
        promised: What the catalog says of the members; empty when it says nothing.
        refused: sha256 of look-alikes, and what they are.
    """

    def __init__(self, promised: Sequence[PinnedFile], refused: Mapping[str, str]) -> None:
        self._promised = {member.path: member for member in promised}
        self._refused = refused
        self.members: tuple[Member, ...] = ()

    @classmethod
    def of(cls, artifact: Artifact, path: str, refused: Mapping[str, str]) -> Insides:
        """Return what looks inside the archive ``path`` of ``artifact``."""
        return cls(artifact.members.get(path, ()), refused)

    def examine(self, data: bytes | Path) -> tuple[Claim, ...]:
        """List the members; return the catalog's claims on members that are broken.

        A member that the catalog knows and the archive lacks breaks nothing: the catalog's list
        may come from another copy.

        Raises:
            ArchiveError: It is damaged, or built to harm.
            IntegrityError: It is no archive at all, or a member is a look-alike.
        """
        from mirror.formats.archive import list_members  # most pulls meet no archive

        git_ids = {path for path, member in self._promised.items() if member.git_sha1}
        if isinstance(data, bytes):
            members = list_members(data, git_ids=git_ids)
        else:
            with data.open("rb") as file:
                members = list_members(file, git_ids=git_ids)
        if members is None:
            raise IntegrityError("this is neither a zip nor a gzipped tar", hint=_HINT)
        self.members = members
        for member in members:
            if member.sha256 in self._refused:
                raise IntegrityError(f"{member.path} is a look-alike: {self._refused[member.sha256]}", hint=_HINT)
        return tuple(claim for member in members for claim in self._broken(member))

    def _broken(self, member: Member) -> list[Claim]:
        promised = self._promised.get(member.path)
        if promised is None:
            return []
        actual = {"sha256": member.sha256, "git-sha1": member.git_sha1}
        return [
            Claim(claim.digest, claim.authority, f"member {member.path}, {claim.where}", claim.secure)
            for claim in promised.claims()
            if actual.get(claim.digest.algorithm) not in {None, claim.digest.hex}
        ]


_HINT = "the bytes are in quarantine; ask the publisher before anything is used"
