"""Load what is held, say what it is, and record what was found.

Nothing is moved: the bytes are those that the publisher gives, however unsound the model in them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.compare.finding import Finding, Severity, Soundness, in_words, unsound
from mirror.errors import ArchiveError, FormatError, StoreError, UnsoundError
from mirror.load.material import HeldFile, Material, Weights, archives, beside, concerns, inside, is_index, whole
from mirror.load.naming import loadable, may_hold_weights
from mirror.load.opening import is_there, unreadable
from mirror.model import Event
from mirror.promised import known_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence, Set
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mirror.catalog import Artifact
    from mirror.forward.checks import Answer, Top
    from mirror.ledger import Ledger, Reader
    from mirror.load.judging import Loaded
    from mirror.load.known import Known
    from mirror.store import Store

#: Artifacts that are loaded at once: hashing leaves the interpreter.
THREADS = 2
#: Findings of one file that are recorded; a file of another model has hundreds.
_TOLD = 100


class Proof(NamedTuple):
    """What was found in one weight file of one artifact.

    Attributes:
        artifact: Name of the artifact.
        loaded: What was found.
        unreadable: Why nothing was, where the file cannot be read; then nothing is recorded.
        empty: Whether there are no weights in it, whatever its name is: recorded, so that nobody looks for them
            again, and told to nobody.
    """

    artifact: str
    loaded: Loaded
    unreadable: StoreError | None = None
    empty: bool = False

    @property
    def name(self) -> str:
        """Artifact and file."""
        return f"{self.artifact}/{self.loaded.weights.name}"

    @property
    def error(self) -> UnsoundError | StoreError:
        """What to raise for weights that are not sound, or cannot be read."""
        if self.unreadable is not None:
            return self.unreadable
        return unsound(self.name, self.loaded.findings)

    @property
    def warnings(self) -> list[str]:
        """What is strange, and no error, one line each; of weights that cannot be read, that they were not."""
        if self.loaded.verdict is Soundness.UNREAD:
            return [f"{self.name}: not read: {in_words(one)}" for one in self.loaded.findings]
        return [f"{self.name}: {in_words(one)}" for one in self.loaded.findings if one.severity is Severity.WARNING]

    @property
    def unchecked(self) -> list[str]:
        """What could not be checked, one line each, without a name."""
        return [f"{one.step}: {one.text}" for one in self.loaded.findings if one.unchecked]


class Shelf(NamedTuple):
    """Where held weights are found, and what was found in them is recorded.

    Attributes:
        reader: The ledger.
        store: Has the blobs.
        scratch: A directory with room for the content of an archive; nothing in it has a name.
        open_ledger: For what is loaded now; None where nothing can be recorded.
    """

    reader: Reader
    store: Store
    scratch: Path
    open_ledger: Callable[[], AbstractContextManager[Ledger]] | None


def prove(
    shelf: Shelf,
    artifacts: Sequence[Artifact],
    stop: threading.Event,
    *,
    forward: bool = False,
    only: Set[str] | None = None,
    but: Set[str] = frozenset(),
) -> Iterator[Proof]:
    """Yield what is found in every weight file that is held of ``artifacts``, in their order.

    Args:
        shelf: Where they are.
        artifacts: Whose.
        stop: Ends it between two artifacts when it is set.
        forward: Whether the models are run as well.
        only: Blobs whose weights are judged; None for all.
        but: Blobs that count as if they were not here.

    Raises:
        StoreError: There is no room to unpack an archive.
        LedgerError: What was found cannot be recorded.
    """
    held = ((artifact, held_files(shelf.reader, shelf.store, artifact.name, but)) for artifact in artifacts)
    tasks = (task for task in held if any(may_hold_weights(file.path) for file in task[1]))
    if (first := next(tasks, None)) is None:
        return
    from concurrent.futures import ThreadPoolExecutor  # many pulls bring no weights

    # One model alone has its tensors shared among the threads; of many, each gets one.
    options = {"threads": THREADS if len(artifacts) == 1 else 1, "forward": forward}
    proofs: list[Proof] = []
    said: dict[tuple[str, str, str], Top] = {}

    def load(task: tuple[Artifact, list[HeldFile]]) -> list[Proof]:
        return list(_proofs(*task, shelf.scratch, only, options))

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            waiting = [pool.submit(load, task) for task in (first, *islice(tasks, 2 * THREADS - 1))]
            while waiting and not stop.is_set():
                found = [_remembered(proof, shelf.reader, said) for proof in waiting.pop(0).result()]
                waiting += [pool.submit(load, task) for task in islice(tasks, 1)]
                proofs += [proof for proof in found if proof.unreadable is None]
                yield from (proof for proof in found if not proof.empty)
    finally:
        if shelf.open_ledger is not None and proofs:
            with shelf.open_ledger() as ledger:
                level = "forward" if forward else "load"
                ledger.record([_event(proof, shelf.reader, level) for proof in proofs])


def _remembered(proof: Proof, reader: Reader, said: dict[tuple[str, str, str], Top]) -> Proof:
    """Return the proof, held against what the same numbers said once, and note what they said here first."""
    loaded = proof.loaded
    if (answer := loaded.answer) is None:
        return proof
    from mirror.forward.checks import moved

    asked, top = _asked(answer)
    core, mlm = loaded.roots["core"], loaded.roots["mlm"]
    before = reader.loaded.answer(core, mlm, asked) or said.setdefault((core, mlm, repr(asked)), top)
    if found := moved(before, answer.top):
        return proof._replace(loaded=loaded._replace(findings=(*loaded.findings, *found), answer=None))
    return proof


def _asked(answer: Answer) -> tuple[dict[str, Any], Top]:
    """Return to what input and with which settings an answer was given, and the answer itself."""
    asked = answer._asdict()
    return asked, asked.pop("top")


def held_files(reader: Reader, store: Store, artifact: str, but: Set[str] = frozenset()) -> list[HeldFile]:
    """Return the files of an artifact that are here, by path; checkpoints only whole.

    Args:
        reader: The ledger.
        store: Has the blobs.
        artifact: Whose.
        but: Blobs that count as if they were not here.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    found = (HeldFile(path, sha256, store.blob_path(sha256)) for path, sha256 in reader.held(artifact).items())
    here = sorted(one for one in found if one.sha256 not in but and is_there(one.where))
    return whole(here, (state.path for state in reader.files(artifact)))


def _proofs(
    artifact: Artifact, files: Sequence[HeldFile], scratch: Path, only: Set[str] | None, options: dict[str, Any]
) -> Iterator[Proof]:
    """Yield what is found in the files of an artifact, and what cannot be read of them."""
    readable = list(files)
    for file in files:
        if not concerns(file.path) or (error := unreadable(file.where)) is None:
            continue
        readable.remove(file)
        if not may_hold_weights(file.path):
            # A model is not judged without its configuration, nor a checkpoint without its data.
            readable = archives(readable)
            error = StoreError(f"{error}; the weights beside it were not judged")
        from mirror.load.judging import unread

        yield Proof(artifact.name, unread(_whole(file), error, Severity.ERROR), error)
    yield from _load(artifact, readable, scratch, only, options)


def _load(
    artifact: Artifact, files: Sequence[HeldFile], scratch: Path, only: Set[str] | None, options: dict[str, Any]
) -> Iterator[Proof]:
    known = known_of(artifact)
    material = beside(files)
    found = {one.name for one in material.weights}
    wanted = tuple(one for one in material.weights if only is None or one.blob in only)
    yield from _judged(artifact.name, material._replace(weights=wanted), known, options)
    names = set(loadable([file.path for file in files])) - found
    for file in files:
        # Data that are not beside their index may come yet.
        if file.path in names and (only is None or file.sha256 in only) and not is_index(file):
            yield _nothing(artifact, file)
    for archive in (one for one in archives(files) if only is None or one.sha256 in only):
        try:
            content = inside(archive, scratch)
        except ArchiveError as error:
            from mirror.load.judging import unread

            yield Proof(artifact.name, unread(_whole(archive), error, Severity.ERROR))
            continue
        if content.weights:
            yield from _judged(artifact.name, content, known, options)
        else:
            yield _nothing(artifact, archive)


def _nothing(artifact: Artifact, file: HeldFile) -> Proof:
    """Return what is recorded of a file that by its name may have been weights, or have some inside."""
    from mirror.load.judging import unread

    return Proof(artifact.name, unread(_whole(file), FormatError("no weights"), Severity.NOTE), empty=True)


def _whole(file: HeldFile) -> Weights:
    return Weights(file.path, file.sha256, "", (), surely=True)


def _judged(artifact: str, material: Material, known: Known, options: dict[str, Any]) -> Iterator[Proof]:
    if not material.weights:
        return
    from mirror.load.judging import judge  # numpy takes longer to load than most artifacts without weights

    for weights in material.weights:
        yield Proof(artifact, judge(weights, material.texts, known, **options))


def _event(proof: Proof, reader: Reader, level: str) -> Event:
    one = proof.loaded
    before = {row.member: row for row in reader.loaded.of(one.weights.blob)}.get(one.weights.member)
    same = before is not None and before.roots == dict(one.roots)
    detail: dict[str, Any] = {
        "sha256": one.weights.blob,
        "member": one.weights.member,
        "level": level,
        "format": one.format,
        "family": one.family,
        "verdict": one.verdict.value,
        "parameters": one.parameters,
        "roots": dict(one.roots),
        "findings": [_told(finding) for finding in one.findings[:_TOLD]],
        "tensors": None if same else [[t.name, t.dtype, t.dims, t.sha256] for t in one.tensors],
    }
    if one.answer is not None:
        asked, top = _asked(one.answer)
        detail["answer"] = {"asked": asked, "top": top}
    return Event("loaded", f"sha256:{one.weights.blob}", detail)


def _told(finding: Finding) -> list[str]:
    return [finding.step, finding.severity.value, finding.tensor, finding.text]
