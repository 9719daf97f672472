"""What an ingest will do: finds to be taken in, and finds that are left where they are, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirror.ingest.finds import Find
    from mirror.model import RemoteFile


@dataclass(eq=False)
class Take:
    """A find that is to be taken in.

    Attributes:
        find: The bytes.
        file: Where they belong, with every claim on them.
        why: How they were recognised, in words.
        share: Address of the hand-off that they answer; None where they are a file that was promised.
        instead_of: Paths of held weights whose place they take, since a publisher's have other numbers.
    """

    find: Find
    file: RemoteFile
    why: str
    share: str | None = None
    instead_of: frozenset[str] = frozenset()


@dataclass(eq=False)
class Left:
    """A find that is not taken in.

    Attributes:
        name: For people.
        status: ``held``, ``unknown``, ``leftover``, ``refused`` or ``disputed``.
        why: In words.
        find: The bytes of one that is disputed; a copy of them is evidence.
        artifact: Which artifact it would have been; None where nobody can say.
    """

    name: str
    status: str
    why: str
    find: Find | None = None
    artifact: str | None = None


@dataclass(eq=False)
class Plan:
    """What an ingest will do.

    Attributes:
        takes: What is taken in.
        left: What is not, and why.
        others: Further files that are neither weights nor known, and were not asked for.
    """

    takes: list[Take] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    others: int = 0
