"""What a pull says of weights: those that came are opened, and the ledger's word on the others is repeated.

A file that nobody has looked into yet, since the pull that brought it was stopped or told not to,
is opened by the next one. What was found once is not looked for again: ``verify --level load`` does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.api.proving import Proving
from mirror.load.naming import judged

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Sequence

    from mirror.ledger import FileState, Reader
    from mirror.prove import Proof
    from mirror.sync.outcome import Outcome, Problem


class Judging(Proving):
    """The weights of a pull."""

    def unsound(self) -> set[str]:
        """Return the sha256 of every blob whose weights were found unsound when they were last loaded.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with self.reader() as reader:
            return set() if reader is None else reader.loaded.unsound()

    def _judge_weights(self, stop: threading.Event, outcome: Outcome) -> None:
        """Add to ``outcome`` what there is to say of the weights that came, and of those that were held."""
        if outcome.came:
            _add(outcome, self.prove(*sorted(outcome.came), stop=stop))
        held = [file for file in outcome.noted if file.artifact not in outcome.came]
        if held and not stop.is_set() and (fresh := self._remember(outcome, held)):
            names, blobs = {file.artifact for file in fresh}, {file.sha256 for file in fresh if file.sha256}
            _add(outcome, self.prove(*sorted(names), only=blobs, stop=stop))

    def _remember(self, outcome: Outcome, held: Sequence[FileState]) -> list[FileState]:
        """Add to ``outcome`` what the ledger knows of ``held``; return those that are still to be opened."""
        with self.reader() as reader:
            if reader is None:
                return []
            unsound, unknown = reader.loaded.doubts({file.sha256 for file in held if file.sha256})
            if not (unsound or unknown):
                return []
            doubtful = {file.artifact for file in held if file.sha256 in unsound or file.sha256 in unknown}
            doubtful = {name for name in doubtful if not self.catalog.artifact(name).bundle}
            found = [file for name in sorted(doubtful) for file in _judged(held, name)]
            for file in found:
                if file.sha256 in unsound:
                    outcome.problems += _problems(file, reader)
        fresh = [file for file in found if file.sha256 in unknown]
        if not fresh or self._is_ours:
            return fresh
        outcome.notes.append(f"never opened, and not by a pull of a mirror that cannot be written: {_count(fresh)}")
        return []


def _judged(held: Sequence[FileState], artifact: str) -> list[FileState]:
    """Return the held files of an artifact that the ledger has a word on once they were opened."""
    files = [file for file in held if file.artifact == artifact]
    paths = judged([file.path for file in files])
    return [file for file in files if file.path in paths]


def _problems(file: FileState, reader: Reader) -> Iterator[Problem]:
    """Yield what the ledger says is wrong with the weights in a file."""
    from mirror.compare.finding import Finding, Severity, unsound
    from mirror.sync.outcome import Problem

    for row in reader.loaded.of(file.sha256 or ""):
        if row.verdict == "unsound":
            name = f"{file.artifact}/{file.path}{f'!{row.member}' if row.member else ''}"
            said = [Finding(step, Severity(gravity), text, tensor) for step, gravity, tensor, text in row.findings]
            yield Problem(name, unsound(name, said))


def _add(outcome: Outcome, proofs: Iterable[Proof]) -> None:
    """Add what was found in weights just now."""
    from mirror.compare.finding import Soundness
    from mirror.sync.outcome import Problem

    for proof in proofs:
        outcome.sound += proof.loaded.sound
        outcome.findings += proof.warnings
        for what in proof.unchecked:
            outcome.unchecked.setdefault(what, []).append(proof.name)
        if proof.loaded.verdict is Soundness.UNSOUND:
            outcome.problems.append(Problem(proof.name, proof.error))


def _count(files: Sequence[FileState]) -> str:
    return f"{files[0].artifact}/{files[0].path}{f' and {len(files) - 1} more' if files[1:] else ''}"
