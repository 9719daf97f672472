"""Seeded tensors with the true names and topology of the four families.

Names are Hugging Face's without the model's prefix, weights of linear layers lie
``(out, in)``. Widths and vocabulary are divided by a scale; layers, heads and the list of
tensors stay what they are, and scale 1 has the true shapes. Values depend on the seed, the
model and the tensor's name alone, so every format of a model holds the same numbers.

Source: ``transformers`` ``modeling_bert``, ``modeling_distilbert``, ``modeling_albert``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: ``bert`` is TinyBERT's architecture too; ``classifier`` is DistilBERT fine-tuned for two classes.
ARCHITECTURES = ("bert", "tinybert", "distilbert", "distilbert-classifier", "albert")
#: Standard deviation of the weights: of a few as BERT's initialiser has it, of more, which show how they are
#: distributed, about as training leaves it. Otherwise whoever looks takes them for fresh ones.
SPREAD = 0.02
TRAINED_SPREAD = 0.03
_ENOUGH_TO_SHOW = 4096
_UNIFORM_SPREAD = (4 / 12) ** 0.5 * 65536


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one model, as its configuration has them; ``teacher`` is TinyBERT's width to match."""

    layers: int
    hidden: int
    heads: int
    embedding: int
    intermediate: int
    vocab_size: int
    max_position: int = 512
    type_vocab_size: int = 2
    teacher: int = 768

    @classmethod
    def of(cls, known: Mapping[str, Any], scale: int) -> Shape:
        """Return a catalog's shape, widths and vocabulary divided by ``scale``.

        A size that the catalog does not know gets a likely one.
        """
        heads = known["heads"]
        hidden = max(known["hidden"] // scale // heads, 1) * heads
        narrow = known["embedding"] != known["hidden"]
        intermediate = known.get("intermediate") or 4 * known["hidden"]
        positions = known.get("max_position") or 512
        return cls(
            layers=known["layers"],
            hidden=hidden,
            heads=heads,
            embedding=max(known["embedding"] // scale, 2) if narrow else hidden,
            intermediate=max(intermediate // scale, 4),
            # 104 rows are taken by the special tokens and their padding.
            vocab_size=max((known.get("vocab_size") or 30522) // scale, 160),
            max_position=min(max(positions // scale, 64), positions),
            type_vocab_size=known.get("type_vocab_size") or 2,
            teacher=max(768 // scale, 2),
        )


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: its canonical name and its shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of elements."""
        total = 1
        for length in self.shape:
            total *= length
        return total

    @property
    def linear(self) -> bool:
        """Whether it is the weight of a linear layer, which other frameworks store ``(in, out)``."""
        return len(self.shape) == 2 and "embeddings." not in self.name


def specs(architecture: str, shape: Shape) -> list[TensorSpec]:
    """Return every tensor of a model, without aliases and buffers, in the module's order."""
    makers = {
        "bert": _bert,
        "tinybert": _tinybert,
        "distilbert": _distilbert,
        "distilbert-classifier": _distilbert_classifier,
        "albert": _albert,
    }
    return [TensorSpec(name, dims) for name, dims in makers[architecture](shape)]


_Named = Iterator[tuple[str, tuple[int, ...]]]


def _linear(name: str, out: int, into: int) -> _Named:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> _Named:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _embeddings(shape: Shape, *, segments: bool) -> _Named:
    yield "embeddings.word_embeddings.weight", (shape.vocab_size, shape.embedding)
    yield "embeddings.position_embeddings.weight", (shape.max_position, shape.embedding)
    if segments:
        yield "embeddings.token_type_embeddings.weight", (shape.type_vocab_size, shape.embedding)
    yield from _norm("embeddings.LayerNorm", shape.embedding)


def _bert_encoder(shape: Shape) -> _Named:
    width, inner = shape.hidden, shape.intermediate
    yield from _embeddings(shape, segments=True)
    for number in range(shape.layers):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            yield from _linear(f"{layer}.attention.self.{part}", width, width)
        yield from _linear(f"{layer}.attention.output.dense", width, width)
        yield from _norm(f"{layer}.attention.output.LayerNorm", width)
        yield from _linear(f"{layer}.intermediate.dense", inner, width)
        yield from _linear(f"{layer}.output.dense", width, inner)
        yield from _norm(f"{layer}.output.LayerNorm", width)
    yield from _linear("pooler.dense", width, width)


def _bert(shape: Shape) -> _Named:
    yield from _bert_encoder(shape)
    yield "cls.predictions.bias", (shape.vocab_size,)
    yield from _linear("cls.predictions.transform.dense", shape.hidden, shape.hidden)
    yield from _norm("cls.predictions.transform.LayerNorm", shape.hidden)
    yield from _linear("cls.seq_relationship", 2, shape.hidden)


def _tinybert(shape: Shape) -> _Named:
    yield from _bert_encoder(shape)
    # Every hidden state is compared with the teacher's, so it is widened to that.
    for number in range(shape.layers + 1):
        yield from _linear(f"fit_denses.{number}", shape.teacher, shape.hidden)
    yield from _linear("fit_dense", shape.teacher, shape.hidden)


def _distilbert_encoder(shape: Shape) -> _Named:
    width, inner = shape.hidden, shape.intermediate
    yield from _embeddings(shape, segments=False)
    for number in range(shape.layers):
        layer = f"transformer.layer.{number}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            yield from _linear(f"{layer}.attention.{part}", width, width)
        yield from _norm(f"{layer}.sa_layer_norm", width)
        yield from _linear(f"{layer}.ffn.lin1", inner, width)
        yield from _linear(f"{layer}.ffn.lin2", width, inner)
        yield from _norm(f"{layer}.output_layer_norm", width)


def _distilbert(shape: Shape) -> _Named:
    yield from _distilbert_encoder(shape)
    yield from _linear("vocab_transform", shape.hidden, shape.hidden)
    yield from _norm("vocab_layer_norm", shape.hidden)
    yield "vocab_projector.bias", (shape.vocab_size,)


def _distilbert_classifier(shape: Shape) -> _Named:
    yield from _distilbert_encoder(shape)
    yield from _linear("pre_classifier", shape.hidden, shape.hidden)
    yield from _linear("classifier", 2, shape.hidden)


def _albert(shape: Shape) -> _Named:
    width, inner, narrow = shape.hidden, shape.intermediate, shape.embedding
    yield from _embeddings(shape, segments=True)
    yield from _linear("encoder.embedding_hidden_mapping_in", width, narrow)
    # All layers share one set of weights.
    layer = "encoder.albert_layer_groups.0.albert_layers.0"
    yield from _norm(f"{layer}.full_layer_layer_norm", width)
    for part in ("query", "key", "value", "dense"):
        yield from _linear(f"{layer}.attention.{part}", width, width)
    yield from _norm(f"{layer}.attention.LayerNorm", width)
    yield from _linear(f"{layer}.ffn", inner, width)
    yield from _linear(f"{layer}.ffn_output", width, inner)
    yield from _linear("pooler", width, width)
    yield "predictions.bias", (shape.vocab_size,)
    yield from _norm("predictions.LayerNorm", narrow)
    yield from _linear("predictions.dense", narrow, width)
    yield from _linear("sop_classifier.classifier", 2, width)


def values(spec: TensorSpec, *, seed: int, model: str) -> NDArray[np.float32]:
    """Return the tensor's numbers, the same on every machine and version of numpy.

    The sum of four uniform integers is near enough to a normal distribution, and exact:
    numpy promises a bit generator's stream, not that of its distributions.

    Source: NEP 19 (random number generator policy).
    """
    import numpy as np

    key = hashlib.sha256(f"{seed}/{model}/{spec.name}".encode()).digest()
    bits = np.random.PCG64(int.from_bytes(key[:16], "little")).random_raw(spec.count)
    summed = bits.astype("<u8").view("<u2").reshape(-1, 4).sum(axis=1, dtype=np.int32) - 131070
    is_norm = len(spec.shape) == 1 and spec.name.endswith("orm.weight")
    centre = 1.0 if is_norm else 0.0  # norms scale by about one
    spread = SPREAD if spec.count < _ENOUGH_TO_SHOW else TRAINED_SPREAD
    numbers: NDArray[np.float32] = (summed * (spread / _UNIFORM_SPREAD) + centre).astype(np.float32)
    return numbers.reshape(spec.shape)
