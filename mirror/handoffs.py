"""What waits for a person: each share with its code, what should come of it, and whether it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.catalog.counts import compute
from mirror.compare.structure import tensor_counts
from mirror.corroborate import corroborations
from mirror.load.naming import brings_weights
from mirror.probe.memory import Memory
from mirror.promised import known_of
from mirror.sources.baidu_pan import hand_off

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mirror.catalog import Artifact, Catalog, Model
    from mirror.corroborate import Corroboration
    from mirror.ledger import Reader
    from mirror.probe import Probed

#: What to run when files have come.
_COMMAND = "minibert-mirror ingest ~/Downloads"
_SINGLE = 4  # bytes of a number in single precision
#: An archive of weights is hardly smaller than they are: float32 deflates to 0.93.
_PACKED = 0.9
#: Room for what stands beside weights, and for what a container adds.
_BESIDE = 4 << 20
#: Google's checkpoints have no optimizer; somebody's own may, with two more numbers for each.
_COPIES = 3


class Expected(NamedTuple):
    """What a share should bring.

    Attributes:
        formats: Of the weights, in the catalog's words.
        parameters: Numbers of the encoder with its pooler, and of the whole checkpoint; None where nobody knows.
        tensors: How many tensors these are in, tied ones once; likewise.
        smallest: Bytes that weights have at the least, packed; None where nobody knows.
        largest: Bytes at the most, a decoder of its own included.
    """

    formats: tuple[str, ...]
    parameters: tuple[int, int] | None
    tensors: tuple[int, int] | None
    smallest: int | None
    largest: int | None


class Waiting(NamedTuple):
    """One share.

    Attributes:
        artifact: Name of the artifact.
        model: The model, as its publisher prints it.
        url: The address to open, with the code in it; None when none was ever published.
        code: Extraction code.
        expected: What should come of it.
        arrived: Files of it that are held; 0 while no weights are among them.
        bundle: Whether it repeats what other shares have.
        steps: What the person does, one sentence each.
        probed: What a probe settled last: alive or dead, when, and names and sizes; None where none did.
        corroboration: What better known weights of the model say of those that are held, where it was asked.
    """

    artifact: str
    model: str
    url: str | None
    code: str | None
    expected: Expected
    arrived: int
    bundle: bool
    steps: tuple[str, ...]
    probed: Probed | None
    corroboration: tuple[Corroboration, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether there is an address, and no weights have come of it yet."""
        return self.url is not None and not self.arrived

    @property
    def differs_from(self) -> str | None:
        """The artifact whose numbers the held weights should have, and have not; None where nothing is known of it."""
        return next((one.differs_from for one in self.corroboration if one.differs_from), None)

    @property
    def is_needed(self) -> bool:
        """Whether a person has still to fetch it: a bundle only repeats what other shares have."""
        return self.is_open and not self.bundle

    @property
    def command(self) -> str | None:
        """What to run when it has come; None when there is nothing to fetch."""
        return _COMMAND if self.url is not None else None


def waiting(artifacts: Iterable[Artifact], reader: Reader | None) -> Iterator[Waiting]:
    """Yield every artifact that only a person can fetch, in their order.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    memory = Memory.of(reader)
    for artifact in artifacts:
        if not artifact.waits_for_person:
            continue
        steps, held = hand_off(artifact), reader.held(artifact.name) if reader is not None else {}
        yield Waiting(
            artifact.name,
            artifact.model.label,
            steps.url,
            steps.code,
            expected(artifact),
            len(held) if brings_weights(held) else 0,
            artifact.bundle,
            (*steps.steps, _COMMAND) if steps.url else steps.steps,
            memory.of_artifact(artifact),
        )


def corroborated(found: Sequence[Waiting], catalog: Catalog, reader: Reader | None) -> list[Waiting]:
    """Return shares with what better known weights of ``catalog`` say of those that have come.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    arrived = {one.artifact for one in found if one.arrived}
    said = corroborations(catalog, reader, arrived) if reader is not None and arrived else {}
    return [one._replace(corroboration=tuple(said.get(one.artifact, ()))) for one in found]


def expected(artifact: Artifact) -> Expected:
    """Return what a share should bring, as far as its model's shape says."""
    counts, tensors = _counts(artifact.model), _tensors(artifact)
    if counts is None:
        return Expected(artifact.formats, None, tensors, None, None)
    bare, whole = counts
    table = (artifact.model.shape.vocab_size or 0) * (artifact.model.shape.hidden or 0)
    largest = _SINGLE * _COPIES * (whole + table) if "tensorflow" in artifact.formats else _SINGLE * (whole + table)
    return Expected(artifact.formats, counts, tensors, int(_PACKED * _SINGLE * bare), largest + _BESIDE)


def _counts(model: Model) -> tuple[int, int] | None:
    found = compute(model.family, model.shape)
    return (min(found.values()), max(found.values())) if found else None


def _tensors(artifact: Artifact) -> tuple[int, int] | None:
    family, layers = known_of(artifact).family, artifact.model.shape.layers
    if family is None or layers is None:
        return None
    found = tensor_counts(family, layers)
    return found["model"], found["full"]
