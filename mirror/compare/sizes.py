"""The sizes of one model: read from a configuration, or from the shapes of its tensors alone.

Configurations are Hugging Face's ``config.json``, Google's ``bert_config.json`` and
``albert_config.json``, and PaddleNLP's ``model_config.json``, where the sizes may lie
inside ``init_args``. A size that is not stated is never guessed.

Source: ``transformers`` ``configuration_{bert,distilbert,albert}``; google-research/bert
``modeling.BertConfig``; PaddleNLP 2.8 ``configuration_utils.flatten_model_config``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from mirror.compare.families import WORDS
from mirror.errors import FormatError

if TYPE_CHECKING:
    from mirror.compare.names import Canonical

#: Names of each size, in Hugging Face's and Google's configurations, and in DistilBERT's.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layers"),
    "hidden": ("hidden_size", "dim"),
    "heads": ("num_attention_heads", "n_heads"),
    "embedding": ("embedding_size",),
    "intermediate": ("intermediate_size", "hidden_dim"),
    "vocab": ("vocab_size",),
    "positions": ("max_position_embeddings",),
    "types": ("type_vocab_size",),
    "teacher": ("fit_size",),
}
#: Far above every model of the four families; what is larger is nonsense, or meant to exhaust.
_MOST: Mapping[str, int] = {
    "layers": 1 << 10,
    "hidden": 1 << 16,
    "heads": 1 << 12,
    "embedding": 1 << 16,
    "intermediate": 1 << 20,
    "vocab": 1 << 24,
    "positions": 1 << 20,
    "types": 1 << 10,
    "teacher": 1 << 16,
}
#: ALBERT can share layers in groups; every published one has a single group of a single layer.
_ONE = ("num_hidden_groups", "inner_group_num")
_DEEPEST = 4
#: The weight that shows the inner and the hidden width.
_BERT_INNER = "encoder.layer.0.intermediate.dense.weight"
_INNER: Mapping[str, str] = {
    "distilbert": "transformer.layer.0.ffn.lin1.weight",
    "albert": "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight",
}
_LAYER = re.compile(r"^(?:encoder|transformer)\.layer\.([0-9]{1,4})\.")


class Sizes(NamedTuple):
    """The sizes of one model.

    Attributes:
        layers: Transformer layers; None where ALBERT's shared weights do not tell.
        hidden: Width of a hidden state.
        heads: Attention heads; None where only the weights were asked, which do not tell.
        embedding: Width of the embeddings; the hidden width, but for ALBERT.
        intermediate: Inner width of the feed-forward layers.
        vocab: Rows of the word table.
        positions: Rows of the position table.
        types: Rows of the segment table; 0 for DistilBERT, which has none.
        teacher: Width of TinyBERT's teacher; None where the configuration does not say.
    """

    layers: int | None
    hidden: int
    heads: int | None
    embedding: int
    intermediate: int
    vocab: int
    positions: int
    types: int
    teacher: int | None = None

    @classmethod
    def of(cls, config: Mapping[str, object], family: str) -> Sizes:
        """Return the sizes that a configuration states.

        Args:
            config: The configuration, as its JSON has it.
            family: One of ``families.FAMILIES``.

        Raises:
            FormatError: A size is missing, no whole number, far too large, or contradicts another.
        """
        flat = _flat(config, _DEEPEST)
        for key in _ONE:
            if family == "albert" and flat.get(key, 1) != 1:
                raise FormatError(f"{key} {ascii(flat[key])[:40]}, where one is known")
        hidden = _stated(flat, "hidden")
        sizes = cls(
            layers=_stated(flat, "layers"),
            hidden=hidden,
            heads=_stated(flat, "heads"),
            embedding=_stated(flat, "embedding") if family == "albert" else hidden,
            intermediate=_stated(flat, "intermediate"),
            vocab=_stated(flat, "vocab"),
            positions=_stated(flat, "positions"),
            types=0 if family == "distilbert" else _stated(flat, "types"),
            teacher=_stated(flat, "teacher") if family == "tinybert" and "fit_size" in flat else None,
        )
        if sizes.heads and sizes.hidden % sizes.heads:
            raise FormatError(f"a width of {sizes.hidden} does not divide into {sizes.heads} heads")
        return sizes

    @classmethod
    def from_shapes(cls, canonical: Canonical, family: str) -> Sizes:
        """Return the sizes that the shapes of a model's tensors show; heads, and ALBERT's layers, they do not.

        Raises:
            FormatError: A tensor that shows a size is not there, or has not the axes that it should.
        """
        vocab, embedding = _matrix(canonical, WORDS)
        intermediate, hidden = _matrix(canonical, _INNER.get(family, _BERT_INNER))
        has_teacher = family == "tinybert" and "fit_dense.weight" in canonical.tensors
        sizes = cls(
            layers=None if family == "albert" else _layers(canonical),
            hidden=hidden,
            heads=None,
            embedding=embedding,
            intermediate=intermediate,
            vocab=vocab,
            positions=_matrix(canonical, "embeddings.position_embeddings.weight")[0],
            types=0 if family == "distilbert" else _matrix(canonical, "embeddings.token_type_embeddings.weight")[0],
            teacher=_matrix(canonical, "fit_dense.weight")[0] if has_teacher else None,
        )
        for size, value in sizes._asdict().items():
            if value is not None and (size, family) != ("types", "distilbert"):
                _checked(value, size, _MOST[size])
        if family != "albert" and hidden != embedding:
            raise FormatError(f"embeddings of width {embedding} in a model of width {hidden}")
        return sizes


def _flat(config: Mapping[str, object], depth: int) -> dict[str, object]:
    """Return a configuration with what lies inside ``init_args`` beside the rest, which goes before."""
    flat = dict(config)
    inside = flat.pop("init_args", ())
    for one in inside if isinstance(inside, (list, tuple)) else ():
        if isinstance(one, Mapping):
            if not depth:
                raise FormatError("init_args inside init_args, again and again")
            for key, value in _flat(one, depth - 1).items():
                flat.setdefault(key, value)
    return flat


def _stated(flat: Mapping[str, object], size: str) -> int:
    """Return a size under any of its names, all of which must agree."""
    stated = {key: flat[key] for key in _KEYS[size] if key in flat}
    if not stated:
        raise FormatError(f"the configuration has no {_KEYS[size][0]}")
    found = {_checked(value, key, _MOST[size]) for key, value in stated.items()}
    if len(found) > 1:
        raise FormatError(f"the configuration has {' and '.join(stated)}, and they differ")
    return found.pop()


def _checked(value: object, key: str, most: int) -> int:
    # ``True`` is an int to Python, and no number to JSON.
    if type(value) is not int or not 0 < value <= most:
        raise FormatError(f"{key} {ascii(value)[:40]}, where a whole number from 1 to {most} should be")
    return value


def _matrix(canonical: Canonical, name: str) -> tuple[int, int]:
    found = canonical.tensors.get(name)
    if found is None:
        raise FormatError(f"no {name}, whose shape shows the sizes")
    if len(found.shape) != 2:
        raise FormatError(f"shape {list(found.shape)}, where a matrix should be", tensor=found.file_name)
    return found.shape[0], found.shape[1]


def _layers(canonical: Canonical) -> int:
    numbers = [int(found[1]) for name in canonical.tensors if (found := _LAYER.match(name))]
    return max(numbers, default=-1) + 1
