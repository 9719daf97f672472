"""The tensors of a model as one safetensors file: the same bytes whichever format they come from.

What is written is what was judged: the elements go from the open file to the new one, bit
by bit, a piece at a time. A file appears whole or not at all, and replaces none unasked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import MultiDigest
from mirror.errors import UsageError
from mirror.export import hugging_face
from mirror.formats.checkpoint import Tensor
from mirror.formats.safetensors_writer import pieces
from mirror.writing import write_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from typing_extensions import Buffer

    from mirror.weights import Opened

_SUFFIX = ".safetensors"
#: Without it, transformers does not take the file for PyTorch's.
_METADATA = {"format": "pt"}


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: The weights.
        beside: Names of the files that were written beside them.
        source: The weight file that they came from.
        sha256: Of the weights that were written.
        size: Bytes of them.
        left_out: Canonical names of tensors that no class of transformers has.
    """

    path: Path
    beside: tuple[str, ...]
    source: str
    sha256: str
    size: int
    left_out: tuple[str, ...]


def export(opened: Opened, out: Path, *, force: bool = False) -> Exported:
    """Write a model's tensors as safetensors, under the names that transformers has for them.

    Args:
        opened: The weights.
        out: A file that ends with ``.safetensors``, or a folder: that gets configuration and tokenizer too.
        force: Whether files that are there are replaced.

    Raises:
        UsageError: Something is there already, or the architecture is none that is known here.
        FormatError: The configuration beside the weights is nonsense.
        StoreError: The place cannot be written.
    """
    if opened.tensors.family not in hugging_face.FAMILIES:
        raise UsageError(f"{opened.proof.name}: of an architecture that is not known here, so nobody knows its names")
    names = hugging_face.names(opened.tensors)
    is_file = out.suffix == _SUFFIX and not out.is_dir()
    folder, name = (out.parent, out.name) if is_file else (out, hugging_face.WEIGHTS)
    beside = {} if is_file else hugging_face.beside(opened)
    _check_free(folder, [*beside, name], force=force)
    written = _Written(pieces(_tensors(opened, names), _METADATA))
    # The weights last: whoever finds them finds the rest.
    files: Mapping[str, Iterable[Buffer]] = {**{path: [text] for path, text in beside.items()}, name: written}
    write_files(folder, files, hint="choose another place with --out")
    left_out = tuple(sorted(opened.tensors.tensors.keys() - set(names.values())))
    return Exported(folder / name, tuple(beside), opened.proof.name, written.sha256, written.size, left_out)


def _tensors(opened: Opened, names: Mapping[str, str]) -> Iterator[Tensor]:
    for given, name in names.items():
        one = opened.tensors.tensors[name]
        yield Tensor(given, one.dtype, one.array)


def _check_free(folder: Path, names: Iterable[str], *, force: bool) -> None:
    # A link that leads nowhere is there as well: somebody means something to come to its end.
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    there = [str(folder / name) for name in names if os.path.lexists(folder / name)]
    if there and not force:
        raise UsageError(f"{', '.join(there)}: there already", hint="--force replaces what is there")


class _Written:
    """Pieces on their way into a file, counted and digested once they have passed."""

    def __init__(self, pieces: Iterator[Buffer]) -> None:
        self.size = 0
        self._pieces = pieces
        self._digest = MultiDigest({"sha256"})

    @property
    def sha256(self) -> str:
        """Of all that passed, hex."""
        return self._digest.result()["sha256"].hex

    def __iter__(self) -> Iterator[Buffer]:
        for piece in self._pieces:
            self._digest.update(piece)
            self.size += len(memoryview(piece))
            yield piece
