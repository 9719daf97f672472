"""Canonical digests: one for each tensor, and one for each group of them, the same from every format.

The digest of a tensor is sha256 over its elements in C order, Hugging Face's orientation,
little-endian, without padding: bits as they are, so -0.0 is not 0.0. A group's is the root
of a Merkle tree over its tensors' lines, sorted by name, so a single tensor can be proved.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from mirror.compare.names import Canonical, CanonicalTensor

CORE = "core"
GROUPS = (CORE, "pooler", "mlm", "nsp", "fit", "other")
ALL = "all"
_PREFIXES = (
    (CORE, ("embeddings.", "encoder.", "transformer.")),
    ("pooler", ("pooler.",)),
    ("mlm", ("cls.predictions.", "predictions.", "vocab_")),
    ("nsp", ("cls.seq_relationship.", "sop_classifier.")),
    ("fit", ("fit_dense.", "fit_denses.")),
)


class TensorDigest(NamedTuple):
    """One tensor, digested.

    Attributes:
        name: Canonical name.
        dtype: As safetensors writes it.
        shape: Lengths of the axes.
        sha256: Of its elements, as ``data_digest`` takes them; in hex.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def dims(self) -> str:
        """Its shape as its line has it."""
        return _dims(self.shape)

    @property
    def leaf(self) -> bytes:
        """Its line of the tree."""
        return leaf(self.name, self.dtype, self.shape, self.sha256)


def group_of(name: str) -> str:
    """Return the group that a canonical name belongs to."""
    return next((group for group, prefixes in _PREFIXES if name.startswith(prefixes)), "other")


def leaf(name: str, dtype: str, shape: Sequence[int], sha256: str) -> bytes:
    """Return a tensor's line of the tree: ``NAME DTYPE DIMS DIGEST``; a scalar's DIMS is ``-``."""
    return f"{name} {dtype} {_dims(shape)} {sha256}\n".encode()


def _dims(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "-"


def root(lines: Sequence[bytes]) -> str:
    """Return the root of the Merkle tree over lines, in their order, in hex.

    Source: RFC 6962 §2.1.
    """
    return _root([hashlib.sha256(b"\0" + line).digest() for line in lines]).hex()


def _root(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(hashes[:split]) + _root(hashes[split:])).digest()


def digests(canonical: Canonical, *, threads: int = 2) -> tuple[TensorDigest, ...]:
    """Return the digest of every tensor, sorted by the bytes of their names."""
    # The largest first, so that no thread is left with it at the end.
    tensors = sorted(canonical.tensors.values(), key=lambda one: one.array.nbytes, reverse=True)
    if threads == 1:
        found = [_digest(one) for one in tensors]
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(_digest, tensors))
    return tuple(sorted(found, key=lambda one: one.name.encode()))


def _digest(one: CanonicalTensor) -> TensorDigest:
    return TensorDigest(one.name, one.dtype, one.shape, data_digest(one.array))


def roots(found: Iterable[TensorDigest]) -> Mapping[str, str]:
    """Return the root of every group that holds something, and of ``all``."""
    groups: dict[str, list[bytes]] = {ALL: []}
    for one in sorted(found, key=lambda one: one.name.encode()):
        groups[ALL].append(one.leaf)
        groups.setdefault(group_of(one.name), []).append(one.leaf)
    return {group: root(groups[group]) for group in (*GROUPS, ALL) if group in groups}


def data_digest(array: NDArray[Any]) -> str:
    """Return the sha256 of an array's elements in C order, little-endian, in hex."""
    from mirror.formats.in_order import in_order  # loads numpy, which nobody needs who only asks for a group

    hasher = hashlib.sha256()
    for piece in in_order(array.astype(array.dtype.newbyteorder("<"), copy=False)):
        hasher.update(piece)
    return hasher.hexdigest()
