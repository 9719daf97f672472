"""What the bytes of a pull are, and what is inside its archives, held against what the catalog says.

A look-alike is refused whatever it is called. Archives stay as published. Their members are
listed with CRC-32 and sha256; one that breaks a pin, or is a look-alike, makes the archive disputed.
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


def refuse_lookalike(name: str, sha256: str, refused: Mapping[str, str]) -> None:
    """Refuse bytes that must never pass for the model.

    Args:
        name: What they are called.
        sha256: Of them, hex.
        refused: sha256 of look-alikes, and what they are.

    Raises:
        IntegrityError: They are one.
    """
    if sha256 in refused:
        raise IntegrityError(f"{name} is a look-alike: {refused[sha256]}", hint=_HINT)


class Insides:
    """Looks at one file; afterwards has its members, if it is an archive.

    Args:
        path: Where it stands in its artifact.
        promised: What the catalog says of the members; None where nobody wants to look inside.
        refused: sha256 of look-alikes, and what they are.
    """

    def __init__(self, path: str, promised: Sequence[PinnedFile] | None, refused: Mapping[str, str]) -> None:
        self._path = path
        self._promised = None if promised is None else {member.path: member for member in promised}
        self._refused = refused
        self.members: tuple[Member, ...] = ()

    @classmethod
    def of(cls, artifact: Artifact, path: str, refused: Mapping[str, str], *, inside: bool) -> Insides | None:
        """Return what looks at ``path`` of ``artifact``; None when there is nothing to look for.

        Args:
            artifact: The artifact.
            path: Where the file stands in it.
            refused: sha256 of look-alikes, and what they are.
            inside: Whether archives are looked into.
        """
        promised = artifact.members.get(path, ()) if inside and is_archive(path) else None
        return None if promised is None and not refused else cls(path, promised, refused)

    def examine(self, data: bytes | Path, sha256: str) -> tuple[Claim, ...]:
        """Refuse look-alikes; list the members, and return the catalog's claims on members that are broken.

        A member that the catalog knows and the archive lacks breaks nothing: the catalog's list
        may come from another copy.

        Raises:
            ArchiveError: It is damaged, or built to harm.
            IntegrityError: It is no archive at all, or a look-alike, or a member is one.
        """
        refuse_lookalike(self._path, sha256, self._refused)
        return () if self._promised is None else self._look_inside(data, self._promised)

    def _look_inside(self, data: bytes | Path, promised: Mapping[str, PinnedFile]) -> tuple[Claim, ...]:
        from mirror.formats.archive import list_members  # most pulls meet no archive

        git_ids = {path for path, member in promised.items() if member.git_sha1}
        if isinstance(data, bytes):
            members = list_members(data, git_ids=git_ids)
        else:
            with data.open("rb") as file:
                members = list_members(file, git_ids=git_ids)
        if members is None:
            raise IntegrityError("this is neither a zip nor a gzipped tar", hint=_HINT)
        self.members = members
        for member in members:
            refuse_lookalike(member.path, member.sha256, self._refused)
        return tuple(claim for member in members for claim in _broken(member, promised.get(member.path)))


def _broken(member: Member, promised: PinnedFile | None) -> list[Claim]:
    actual = {"sha256": member.sha256, "git-sha1": member.git_sha1}
    return [
        Claim(claim.digest, claim.authority, f"member {member.path}, {claim.where}", claim.secure)
        for claim in (promised.claims() if promised is not None else ())
        if actual.get(claim.digest.algorithm) not in {None, claim.digest.hex}
    ]


_HINT = "the bytes are in quarantine; ask the publisher before anything is used"
