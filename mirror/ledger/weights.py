"""What the ledger knows of tensors: the questions of ``compare`` and ``identify``."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from mirror.ledger.canonical import canonical
from mirror.ledger.rows import TensorRow, WeightsRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_WEIGHTS = "SELECT blob, member, format, family, verdict, parameters, roots, findings, checked_at FROM weights"
_VOTES = """
SELECT blob, member, count(*) FROM tensors
WHERE sha256 IN (SELECT value FROM json_each(?)) GROUP BY blob, member
"""
# Of what was loaded and is not unsound nothing is said: that is nearly all.
_DOUBTS = """
SELECT asked.value, weights.verdict FROM json_each(?) AS asked
LEFT JOIN weights ON weights.blob = asked.value
WHERE weights.verdict IS NULL OR weights.verdict = 'unsound'
"""
_LEVELS = ("stat", "load", "forward")
_JUDGED = """
SELECT json_extract(detail, '$.sha256'), max(at) FROM events
WHERE kind IN ('verified', 'loaded') AND json_extract(detail, '$.level') IN (SELECT value FROM json_each(?))
GROUP BY 1
"""


class WeightQuestions:
    """Answers about tensors, and about who was judged when, from one open ledger; see ``Reader.loaded``.

    Args:
        rows: Runs SQL and yields what its first argument makes of each row; raises only ``LedgerError``.
    """

    def __init__(self, rows: Callable[..., Iterator[Any]]) -> None:
        self._rows = rows

    def of(self, sha256: str) -> tuple[WeightsRow, ...]:
        """Return what was found in one blob; more than one row for an archive of several checkpoints.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return tuple(self._rows(_row, f"{_WEIGHTS} WHERE blob = ? ORDER BY member", sha256))

    def doubts(self, blobs: Iterable[str]) -> tuple[set[str], set[str]]:
        """Return which of ``blobs`` were found unsound, and which nobody has looked into yet.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        found: tuple[set[str], set[str]] = (set(), set())
        for blob, verdict in self._rows(tuple, _DOUBTS, json.dumps(sorted(blobs))):
            found[verdict is None].add(blob)
        return found

    def unsound(self) -> set[str]:
        """Return the blobs of which some weights are unsound.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return {blob for (blob,) in self._rows(tuple, "SELECT blob FROM weights WHERE verdict = 'unsound'")}

    def all(self) -> Iterator[WeightsRow]:
        """Yield what was found in every blob that was ever loaded.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return self._rows(_row, f"{_WEIGHTS} ORDER BY blob, member")

    def tensors(self, blob: str, member: str) -> tuple[TensorRow, ...]:
        """Return the canonical tensors of one weight file, by name.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        sql = "SELECT name, dtype, dims, sha256 FROM tensors WHERE blob = ? AND member = ? ORDER BY name"
        return tuple(self._rows(TensorRow._make, sql, blob, member))

    def answer(self, core: str, mlm: str, asked: Mapping[str, Any]) -> tuple[tuple[int, float], ...] | None:
        """Return the first words, and their logits, that these numbers gave once; None when nobody asked.

        Args:
            core: Canonical digest of the group, hex.
            mlm: Likewise.
            asked: The input and the settings.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        sql = "SELECT top FROM answers WHERE core = ? AND mlm = ? AND asked = ?"
        for (top,) in self._rows(tuple, sql, core, mlm, canonical(asked)):
            return tuple((word, logit) for word, logit in json.loads(top))
        return None

    def judged(self, level: str) -> dict[str, str]:
        """Return when each blob was last judged at ``level`` or at a deeper one, but for the reading of its bytes.

        All events are gone through, since only a portion of what is held is worth the question.

        Args:
            level: ``stat``, or one at which weights are loaded: ``load``, ``forward``.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        deeper = json.dumps(_LEVELS[_LEVELS.index(level) :])
        return dict(self._rows(tuple, _JUDGED, deeper))

    def votes(self, digests: Iterable[str]) -> Counter[tuple[str, str]]:
        """Return how many of the tensors with these sha256 each weight file has, by blob and member.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        asked = json.dumps(sorted(set(digests)))
        return Counter({(blob, member): count for blob, member, count in self._rows(tuple, _VOTES, asked)})


def _row(row: tuple[Any, ...]) -> WeightsRow:
    blob, member, kind, family, verdict, parameters, roots, findings, checked_at = row
    told = tuple((step, severity, tensor, text) for step, severity, tensor, text in json.loads(findings))
    return WeightsRow(blob, member, kind, family, verdict, parameters, json.loads(roots), told, checked_at)
