"""Which files of an artifact belong to which format, by their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mirror.model import RemoteFile

#: A file name belongs to the first format whose pattern it matches in full. Index files go with their weights.
_FORMATS = (
    ("safetensors", r".*\.safetensors(?:\.index.*\.json)?"),
    ("onnx", r".*\.onnx(?:[._]data.*)?"),
    ("openvino", r"openvino.*\.(?:bin|xml)"),
    ("coreml", r".*\.mlmodel|.*\.mlpackage/.*"),
    ("pytorch", r"pytorch_model.*\.(?:bin|pt|pth)(?:\.index\.json)?|(?:.*[._-])?model\.(?:pt|pth)|consolidated.*\.pth"),
    ("h5", r"tf_model.*\.h5(?:\.index\.json)?|.*\.h5"),
    ("tensorflow", r".*\.ckpt.*|ckpt\.index|saved_model/.*|saved_model\.pb|checkpoint|.*\.tflite"),
    ("flax", r"flax_model.*\.msgpack(?:\.index\.json)?|.*\.msgpack"),
    ("rust", r"rust_model\.ot|.*\.ot"),
    ("paddle", r".*\.pdparams|.*\.pdmodel|.*\.pdiparams"),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _FORMATS)
#: Every format that a file name can tell.
FORMATS = tuple(name for name, _ in _FORMATS)


def weight_format(path: str) -> str | None:
    """Return the format of the weights at ``path``; None for a configuration, a tokenizer, a licence, anything else."""
    for name, pattern in _PATTERNS:
        if pattern.fullmatch(path) or pattern.fullmatch(path.rpartition("/")[2]):
            return name
    return None


def keeps(path: str, formats: Collection[str]) -> bool:
    """Whether a file stays when only weights of ``formats`` are wanted: what is no weight always does.

    ``tensorflow`` includes Keras' ``.h5``, which the hub's TensorFlow weights are in. No format means all of them.
    """
    if not formats:
        return True
    own = weight_format(path)
    return own is None or own in formats or (own == "h5" and "tensorflow" in formats)


def narrow(files: Iterable[RemoteFile], formats: Collection[str]) -> tuple[RemoteFile, ...]:
    """Return the files that ``keeps`` lets stay."""
    return tuple(file for file in files if keeps(file.path, formats))
