"""The four families: every tensor they may hold, under its canonical name, with named axes.

A canonical name is Hugging Face's without the model's prefix, and linear weights lie
``(out, in)``. ``{}`` stands for the number of a layer. Axes are letters: V vocabulary,
P positions, T segment types, E width of the embeddings, H hidden width, I inner width
of the feed-forward layers, F width of TinyBERT's teacher, 2 two classes.

Source: ``transformers`` ``modeling_bert``, ``modeling_distilbert``, ``modeling_albert``;
PaddleNLP 2.8 ``paddlenlp.transformers.tinybert.modeling`` (``fit_dense``, ``fit_denses``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FAMILIES = ("bert", "tinybert", "distilbert", "albert")

WORDS = "embeddings.word_embeddings.weight"
#: Tied weights: names under which a file may hold the numbers of another tensor once more.
ALIASES: Mapping[str, str] = {
    "cls.predictions.decoder.weight": WORDS,
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "predictions.decoder.weight": WORDS,
    "predictions.decoder.bias": "predictions.bias",
    "vocab_projector.weight": WORDS,
}
#: What PyTorch and Paddle register beside the weights; it comes and goes with their versions.
POSITION_IDS, TOKEN_TYPE_IDS = "embeddings.position_ids", "embeddings.token_type_ids"
#: Heads of fine-tuned models; how many classes they have no configuration of the base model says.
FINE_TUNED = frozenset(
    f"{head}.{part}" for head in ("classifier", "pre_classifier", "qa_outputs") for part in ("weight", "bias")
)


class Template(NamedTuple):
    """One tensor, or one of every layer.

    Attributes:
        name: Canonical name; ``{}`` where the number of a layer stands.
        axes: One letter for each axis.
    """

    name: str
    axes: str


def _linear(name: str, out: str, into: str) -> Iterator[Template]:
    yield Template(f"{name}.weight", out + into)
    yield Template(f"{name}.bias", out)


def _norm(name: str, width: str) -> Iterator[Template]:
    yield Template(f"{name}.weight", width)
    yield Template(f"{name}.bias", width)


def _embeddings(*, segments: bool) -> Iterator[Template]:
    yield Template(WORDS, "VE")
    yield Template("embeddings.position_embeddings.weight", "PE")
    if segments:
        yield Template("embeddings.token_type_embeddings.weight", "TE")
    yield from _norm("embeddings.LayerNorm", "E")


def _bert() -> Iterator[Template]:
    yield from _embeddings(segments=True)
    layer = "encoder.layer.{}"
    for part in ("query", "key", "value"):
        yield from _linear(f"{layer}.attention.self.{part}", "H", "H")
    yield from _linear(f"{layer}.attention.output.dense", "H", "H")
    yield from _norm(f"{layer}.attention.output.LayerNorm", "H")
    yield from _linear(f"{layer}.intermediate.dense", "I", "H")
    yield from _linear(f"{layer}.output.dense", "H", "I")
    yield from _norm(f"{layer}.output.LayerNorm", "H")
    yield from _linear("pooler.dense", "H", "H")
    yield Template("cls.predictions.bias", "V")
    yield from _linear("cls.predictions.transform.dense", "H", "H")
    yield from _norm("cls.predictions.transform.LayerNorm", "H")
    yield from _linear("cls.seq_relationship", "2", "H")


def _tinybert() -> Iterator[Template]:
    yield from _bert()
    yield from _linear("fit_denses.{}", "F", "H")
    yield from _linear("fit_dense", "F", "H")


def _distilbert() -> Iterator[Template]:
    yield from _embeddings(segments=False)
    layer = "transformer.layer.{}"
    for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
        yield from _linear(f"{layer}.attention.{part}", "H", "H")
    yield from _norm(f"{layer}.sa_layer_norm", "H")
    yield from _linear(f"{layer}.ffn.lin1", "I", "H")
    yield from _linear(f"{layer}.ffn.lin2", "H", "I")
    yield from _norm(f"{layer}.output_layer_norm", "H")
    yield from _linear("vocab_transform", "H", "H")
    yield from _norm("vocab_layer_norm", "H")
    yield Template("vocab_projector.bias", "V")


def _albert() -> Iterator[Template]:
    yield from _embeddings(segments=True)
    yield from _linear("encoder.embedding_hidden_mapping_in", "H", "E")
    # All layers share one set of weights.
    layer = "encoder.albert_layer_groups.0.albert_layers.0"
    yield from _norm(f"{layer}.full_layer_layer_norm", "H")
    for part in ("query", "key", "value", "dense"):
        yield from _linear(f"{layer}.attention.{part}", "H", "H")
    yield from _norm(f"{layer}.attention.LayerNorm", "H")
    yield from _linear(f"{layer}.ffn", "I", "H")
    yield from _linear(f"{layer}.ffn_output", "H", "I")
    yield from _linear("pooler", "H", "H")
    yield Template("predictions.bias", "V")
    yield from _linear("predictions.dense", "E", "H")
    yield from _norm("predictions.LayerNorm", "E")
    yield from _linear("sop_classifier.classifier", "2", "H")


TEMPLATES: Mapping[str, tuple[Template, ...]] = {
    "bert": tuple(_bert()),
    "tinybert": tuple(_tinybert()),
    "distilbert": tuple(_distilbert()),
    "albert": tuple(_albert()),
}
_NAMES = {family: frozenset(one.name for one in templates) for family, templates in TEMPLATES.items()}
_ANY = frozenset[str]().union(*_NAMES.values())
# ASCII digits alone, and no leading zeros: two spellings of one number would be two tensors.
_NUMBER = re.compile(r"((?:encoder|transformer)\.layer|fit_denses)\.(?:0|[1-9][0-9]*)\.")


def is_known(name: str, family: str) -> bool:
    """Whether a canonical name is one that a family has; that any has, where ``family`` is empty."""
    known = _NAMES[family] if family else _ANY
    if found := _NUMBER.match(name):
        return f"{found[1]}.{{}}.{name[found.end() :]}" in known
    return name in FINE_TUNED or name in ALIASES or name in known
