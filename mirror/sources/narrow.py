"""Which files of an artifact belong to which format, by their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mirror.model import RemoteFile

#: Names of what a training needs to go on: nothing to whoever wants the weights, though some end like weights.
_TRAINING = r"(?:optimizer|scheduler|scaler|rng_state|random_states|training_args)[^/]*"
#: Names of a tokenizer's parts, whatever they end in.
_TOKENIZER = r"(?:tokenizer|vocab|merges|special_tokens|added_tokens|sentencepiece|spiece)[^/]*"
_NO_WEIGHTS = rf"(?!(?:.*/)?(?:{_TRAINING}|{_TOKENIZER})\Z)"
#: A file belongs to the first format whose pattern its path or its name matches in full. Index files go with
#: their weights.
_FORMATS = (
    ("safetensors", r".*\.safetensors(?:\.index.*\.json)?"),
    ("onnx", r".*\.onnx(?:[._]data.*)?"),
    ("openvino", r"openvino.*\.(?:bin|xml)"),
    ("coreml", r".*\.mlmodel|.*\.(?:mlpackage|mlmodelc)/.*"),
    ("pytorch", rf"pytorch_model.*\.bin\.index\.json|{_NO_WEIGHTS}.*\.(?:bin|pt|pth)"),
    ("h5", r"tf_model.*\.h5\.index\.json|.*\.h5"),
    (
        "tensorflow",
        r".*\.ckpt.*|ckpt\.index|checkpoint|(?:.*/)?saved_model/.*|.*\.pb|variables\.(?:index|data-.*)|.*\.tflite",
    ),
    ("flax", r"flax_model.*\.msgpack\.index\.json|.*\.msgpack"),
    ("rust", r".*\.ot"),
    ("paddle", r".*\.pdparams|.*\.pdmodel|.*\.pdiparams"),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _FORMATS)
#: Configuration, tokenizer, licence and other text, by name; and archives, whose names do not tell what is inside.
_COMPANION = re.compile(
    rf"{_TOKENIZER}|(?:LICEN[CS]E|NOTICE|COPYING|README).*|\.gitattributes|[^.]+"
    r"|.*\.(?:json|jsonl|txt|md|py|ya?ml|toml|cfg|ini|jinja2?|model|spm|bpe|codes|tiktoken)"
    r"|.*\.(?:zip|tgz|tar(?:\.\w+)?)"
)
#: Every format that a file name can tell.
FORMATS = tuple(name for name, _ in _FORMATS)


def known_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Return ``names`` as ``FORMATS`` has them, ignoring case, each once.

    Raises:
        UsageError: One of them is no format; the text has the nearest.
    """
    formats = tuple(dict.fromkeys(name.lower() for name in names))
    for name in formats:
        if name not in FORMATS:
            import difflib

            near = difflib.get_close_matches(name, FORMATS, n=3)
            nearest = f"; nearest: {', '.join(near)}" if near else ""
            raise UsageError(f"no weight format {name!r}{nearest}", hint=f"formats are {', '.join(FORMATS)}")
    return formats


def weight_format(path: str) -> str | None:
    """Return the format of the weights at ``path``; None for a configuration, a tokenizer, a licence, anything else."""
    for name, pattern in _PATTERNS:
        if pattern.fullmatch(path) or pattern.fullmatch(path.rpartition("/")[2]):
            return name
    return None


def keeps(path: str, formats: Collection[str]) -> bool:
    """Whether a file stays when only ``formats`` are wanted: their weights, and what goes with any weights.

    That is configuration, tokenizer, licence and other text; the state of a training goes. ``tensorflow`` includes
    Keras' ``.h5``, which the hub's TensorFlow weights are in. No format means all of them.
    """
    if not formats:
        return True
    own = weight_format(path)
    if own is None:
        return _COMPANION.fullmatch(path.rpartition("/")[2]) is not None
    return own in formats or (own == "h5" and "tensorflow" in formats)


def narrow(files: Iterable[RemoteFile], formats: Collection[str]) -> tuple[RemoteFile, ...]:
    """Return the files that ``keeps`` lets stay."""
    return tuple(file for file in files if keeps(file.path, formats))
