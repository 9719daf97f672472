"""What a check of a model has to say, one sentence each."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import UnsoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Findings of one file that an error tells.
_SHOWN = 3


class Severity(StrEnum):
    """How much a finding weighs: an error refuses the file; the others only tell."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """One thing that a check found.

    Attributes:
        step: The check, such as ``structure``.
        severity: How much it weighs.
        text: What was found, for a person.
        tensor: Name of the tensor that it is about; empty when it is about the whole.
        unchecked: Whether it says that something could not be checked.
    """

    step: str
    severity: Severity
    text: str
    tensor: str = ""
    unchecked: bool = False

    def __str__(self) -> str:
        where = f"{self.tensor}: " if self.tensor else ""
        return f"{self.step}: {self.severity}: {where}{self.text}"


class Soundness(StrEnum):
    """What a weight file is; its value is how people and the ledger write it."""

    SOUND = "sound"
    UNSOUND = "unsound"
    #: It cannot be read, and nobody promised that it can: of no model of ours, or perhaps no weights at all.
    UNREAD = "unread"


def unsound(name: str, findings: Iterable[Finding]) -> UnsoundError:
    """Return what to raise for the weights ``name``, given what was found in them."""
    wrong = [one for one in findings if one.severity is Severity.ERROR]
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return UnsoundError(f"{name}: {'; '.join(map(in_words, wrong[:_SHOWN]))}{more}")


def in_words(finding: Finding) -> str:
    """Return what was found, with the tensor that it is about."""
    return f"{finding.tensor}: {finding.text}" if finding.tensor else finding.text
