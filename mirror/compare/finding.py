"""What a check of a model has to say, one sentence each."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


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
    """

    step: str
    severity: Severity
    text: str
    tensor: str = ""

    def __str__(self) -> str:
        where = f"{self.tensor}: " if self.tensor else ""
        return f"{self.step}: {self.severity}: {where}{self.text}"
