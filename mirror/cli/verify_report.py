"""What ``verify`` prints of verdicts on blobs and weights, and how it counts them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mirror.cli.output import and_more, emit, many, paint, say
from mirror.compare.finding import Severity, Soundness
from mirror.prove import Proof
from mirror.recheck import Rechecked
from mirror.verify import Status

if TYPE_CHECKING:
    from mirror.rounds import Left
    from mirror.second_opinion import Opinion


class Report:
    """Prints verdicts and counts them."""

    def __init__(self, level: str, *, as_json: bool) -> None:
        self.good = self.bad = self.read = 0
        self.weights: Counter[Soundness] = Counter()
        self.unreadable: set[str] = set()
        self.artifacts: dict[str, None] = {}
        self._left: dict[str, int] = {}
        self._unchecked: dict[str, list[str]] = {}
        self._level = level
        self._as_json = as_json

    def tell(self, found: Rechecked | Proof | Left) -> None:
        """Print one thing that was found, and count it."""
        if isinstance(found, Rechecked):
            self.tell_bytes(found)
        elif isinstance(found, Proof):
            self.tell_weights(found)
        else:
            self._left[found.level] = found.blobs
            if self._as_json:
                emit({"left": found.blobs, "level": found.level})

    def left(self, level: str) -> str:
        """Say what is left for another time at a level; nothing when nothing is."""
        blobs = self._left.get(level, 0)
        return f"; {many(blobs, 'blob')} left for another time" if blobs else ""

    def tell_bytes(self, finding: Rechecked) -> None:
        """Print the verdict on a blob, unless it is that nothing is the matter."""
        verdict = finding.verdict
        self.good += verdict.ok
        is_unreadable = verdict.status is Status.UNREADABLE
        self.unreadable |= {verdict.subject.sha256} if is_unreadable else set()
        self.bad += not (verdict.ok or is_unreadable)
        self.read += 0 if is_unreadable else verdict.subject.size
        if self._as_json:
            emit(
                {
                    "sha256": verdict.subject.sha256,
                    "status": verdict.status.value,
                    "level": verdict.level.value,
                    "actual": verdict.actual,
                    "damage": [list(span) for span in verdict.damage],
                    "transient": verdict.transient,
                    "why": verdict.why or None,
                    "files": list(finding.files),
                }
            )
        elif verdict.transient:
            say(
                f"{paint('transient', fg='yellow')}  {', '.join(finding.files)}: the first read gave other "
                "bytes, a second was right: look after this machine's memory, disk and cables"
            )
        elif not verdict.ok:
            where = f", damaged bytes {', '.join(f'{a}–{b}' for a, b in verdict.damage[:5])}" if verdict.damage else ""
            where += f": {verdict.why}" if verdict.why else ""
            say(f"{paint(verdict.status.value, fg='red')}  {', '.join(finding.files)}{where}")

    def tell_weights(self, proof: Proof) -> None:
        """Print what is wrong with weights, and what is strange."""
        loaded = proof.loaded
        self.artifacts[proof.artifact] = None
        is_unreadable = proof.unreadable is not None
        if is_unreadable:
            self.unreadable.add(loaded.weights.blob)
        else:
            self.weights[loaded.verdict] += 1
        status = "unreadable" if is_unreadable else loaded.verdict.value
        if self._as_json:
            emit(
                {
                    "weights": proof.name,
                    "sha256": loaded.weights.blob,
                    "status": status,
                    "level": self._level,
                    "format": loaded.format,
                    "family": loaded.family,
                    "parameters": loaded.parameters,
                    "roots": dict(loaded.roots),
                    "findings": [one._asdict() for one in loaded.findings],
                    "answer": None if loaded.answer is None else loaded.answer._asdict(),
                }
            )
            return
        if not loaded.sound:
            colour = "yellow" if status == Soundness.UNREAD else "red"
            say(f"{paint(status, fg=colour)}  {proof.name}")
        for one in loaded.findings:
            if one.severity is not Severity.NOTE or loaded.verdict is Soundness.UNREAD:
                colour = "red" if one.severity is Severity.ERROR else "yellow"
                about = f"{one.tensor}: " if one.tensor else ""
                name = "" if not loaded.sound else f"{proof.name}: "
                say(f"  {paint(one.severity.value, fg=colour)}  {name}{about}{one.text}")
        for what in proof.unchecked:
            self._unchecked.setdefault(what, []).append(proof.name)

    def tell_unchecked(self) -> None:
        """Say once, of whatever files, what could not be checked."""
        for what, names in self._unchecked.items():
            say(f"{paint('unchecked', fg='yellow')}  {what}: {and_more(names)}")

    def tell_opinion(self, opinion: Opinion) -> None:
        """Print what transformers says."""
        self.weights[Soundness.UNSOUND] += not opinion.agrees
        if self._as_json:
            emit(
                {
                    "weights": opinion.name,
                    "sha256": opinion.blob,
                    "status": "agrees" if opinion.agrees else "disagrees",
                    "level": self._level,
                    "tool": opinion.tool,
                    "keys": {kind: list(names) for kind, names in opinion.keys.items()},
                    "off": dict(opinion.off),
                    "error": opinion.error or None,
                }
            )
        else:
            say(paint(f"{opinion.name}: {opinion}", fg=None if opinion.agrees else "red"))
