"""Load what is held, say what it is, and record what was found.

Nothing is moved: the bytes are those that the publisher gives, however unsound the model in them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.compare.families import FAMILIES
from mirror.compare.finding import Finding, Severity, Soundness
from mirror.errors import ArchiveError, StoreError, UnsoundError
from mirror.load.known import Known
from mirror.load.material import (
    HeldFile,
    Material,
    Weights,
    archives,
    beside,
    concerns,
    inside,
    may_hold_weights,
    whole,
)
from mirror.model import Event

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence, Set
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mirror.catalog import Artifact, Shape
    from mirror.forward.checks import Answer, Top
    from mirror.ledger import Ledger, Reader
    from mirror.load.judging import Loaded
    from mirror.store import Store

#: Artifacts that are loaded at once; hashing leaves the interpreter, so two use two cores.
THREADS = 2
#: Findings of one file that an error tells.
_SHOWN = 3
#: Findings of one file that are recorded; a file of another model has hundreds.
_TOLD = 100
_FAMILIES = {"bert-miniature": "bert"}
#: The catalog's names of sizes, and those of a configuration.
_CONFIG_KEYS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "embedding": "embedding_size",
    "intermediate": "intermediate_size",
    "vocab_size": "vocab_size",
    "max_position": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
}


class Proof(NamedTuple):
    """What was found in one weight file of one artifact.

    Attributes:
        artifact: Name of the artifact.
        loaded: What was found.
        unreadable: Why nothing was, where the file cannot be read; then nothing is recorded.
    """

    artifact: str
    loaded: Loaded
    unreadable: StoreError | None = None

    @property
    def name(self) -> str:
        """Artifact and file."""
        return f"{self.artifact}/{self.loaded.weights.name}"

    @property
    def error(self) -> UnsoundError | StoreError:
        """What to raise for weights that are not sound, or cannot be read."""
        if self.unreadable is not None:
            return self.unreadable
        wrong = [one for one in self.loaded.findings if one.severity is Severity.ERROR]
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        return UnsoundError(f"{self.name}: {'; '.join(map(_said, wrong[:_SHOWN]))}{more}")

    @property
    def warnings(self) -> list[str]:
        """What is strange, and no error, one line each; of weights that cannot be read, that they were not."""
        if self.loaded.verdict is Soundness.UNREAD:
            return [f"{self.name}: not read: {_said(one)}" for one in self.loaded.findings]
        return [f"{self.name}: {_said(one)}" for one in self.loaded.findings if one.severity is Severity.WARNING]

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
                yield from found
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
    here = sorted(one for one in found if one.sha256 not in but and _is_there(one.where))
    return whole(here, (state.path for state in reader.files(artifact)))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # and cannot be read


def _proofs(
    artifact: Artifact, files: Sequence[HeldFile], scratch: Path, only: Set[str] | None, options: dict[str, Any]
) -> Iterator[Proof]:
    """Yield what is found in the files of an artifact, and what cannot be read of them."""
    readable = list(files)
    for file in files:
        if not concerns(file.path) or (error := _unreadable(file.where)) is None:
            continue
        readable.remove(file)
        if not may_hold_weights(file.path):
            # A model is not judged without its configuration, nor a checkpoint without its data.
            readable = archives(readable)
            error = StoreError(f"{error}; the weights beside it were not judged")
        from mirror.load.judging import unread

        weights = Weights(file.path, file.sha256, "", (), surely=True)
        yield Proof(artifact.name, unread(weights, error, Severity.ERROR), error)
    yield from (Proof(artifact.name, loaded) for loaded in _load(artifact, readable, scratch, only, options))


def _unreadable(path: Path) -> StoreError | None:
    """Say why a file cannot be opened; None when it can."""
    try:
        path.open("rb").close()
    except OSError as error:
        return StoreError(f"{path}: {error.strerror or repr(error)}")
    return None


def _load(
    artifact: Artifact, files: Sequence[HeldFile], scratch: Path, only: Set[str] | None, options: dict[str, Any]
) -> Iterator[Loaded]:
    known = known_of(artifact)
    material = beside(files)
    wanted = tuple(one for one in material.weights if only is None or one.blob in only)
    yield from _judged(material._replace(weights=wanted), known, options)
    for archive in (one for one in archives(files) if only is None or one.sha256 in only):
        try:
            yield from _judged(inside(archive, scratch), known, options)
        except ArchiveError as error:
            from mirror.load.judging import unread

            whole = Weights(archive.path, archive.sha256, "", (), surely=True)
            yield unread(whole, error, Severity.ERROR)


def _judged(material: Material, known: Known, options: dict[str, Any]) -> Iterator[Loaded]:
    if not material.weights:
        return
    from mirror.load.judging import judge  # numpy takes longer to load than most artifacts without weights

    for weights in material.weights:
        yield judge(weights, material.texts, known, **options)


def known_of(artifact: Artifact) -> Known:
    """Return what the catalog says of an artifact's model."""
    model = artifact.model
    family = _FAMILIES.get(model.family or "", model.family)
    config = artifact.entry.get("paddle_config") or _config(model.shape, family)
    printed = (model.entry.get("parameters") or {}).get("printed")
    return Known(family if family in FAMILIES else None, config, printed, model.entry.get("cased"))


def _config(shape: Shape, family: str | None) -> dict[str, int]:
    """Return a configuration with the catalog's sizes; empty where one is unknown."""
    sizes = {_CONFIG_KEYS[name]: value for name, value in shape._asdict().items()}
    if family != "albert":
        sizes.pop("embedding_size")
    known = {name: value for name, value in sizes.items() if value is not None}
    return known if len(known) == len(sizes) else {}


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


def _said(finding: Finding) -> str:
    return f"{finding.tensor}: {finding.text}" if finding.tensor else finding.text


def _told(finding: Finding) -> list[str]:
    return [finding.step, finding.severity.value, finding.tensor, finding.text]
