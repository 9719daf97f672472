"""What each family calls the parts of its network; ``{}`` stands for the number of a layer.

ALBERT's names have no number: all its layers are one.

Source: ``transformers`` ``modeling_bert``, ``modeling_distilbert``, ``modeling_albert``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POSITIONS = "embeddings.position_embeddings.weight"
SEGMENTS = "embeddings.token_type_embeddings.weight"
EMBEDDED_NORM = "embeddings.LayerNorm"
#: ALBERT's way from its narrow embeddings to the width of its layers.
WIDENED = "encoder.embedding_hidden_mapping_in"


class Layer(NamedTuple):
    """The parts of a layer, each a linear layer or a norm."""

    query: str
    key: str
    value: str
    attended: str
    attended_norm: str
    inner: str
    outer: str
    norm: str


class Heads(NamedTuple):
    """What stands on the last layer; empty where a family has none."""

    pooler: str
    transform: str
    transform_norm: str
    decoder: str
    words_bias: str
    nsp: str


def _within(prefix: str, *parts: str) -> Iterator[str]:
    return (f"{prefix}.{part}" for part in parts)


_BERT_LAYER = Layer(
    *_within("encoder.layer.{}.attention.self", "query", "key", "value"),
    *_within("encoder.layer.{}.attention.output", "dense", "LayerNorm"),
    *_within("encoder.layer.{}", "intermediate.dense", "output.dense", "output.LayerNorm"),
)
_BERT_HEADS = Heads(
    pooler="pooler.dense",
    transform="cls.predictions.transform.dense",
    transform_norm="cls.predictions.transform.LayerNorm",
    decoder="cls.predictions.decoder",
    words_bias="cls.predictions.bias",
    nsp="cls.seq_relationship",
)
_ALBERT_LAYER = "encoder.albert_layer_groups.0.albert_layers.0"

LAYERS: Mapping[str, Layer] = {
    "bert": _BERT_LAYER,
    "tinybert": _BERT_LAYER,
    "distilbert": Layer(
        *_within("transformer.layer.{}.attention", "q_lin", "k_lin", "v_lin", "out_lin"),
        *_within("transformer.layer.{}", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"),
    ),
    "albert": Layer(
        *_within(f"{_ALBERT_LAYER}.attention", "query", "key", "value", "dense", "LayerNorm"),
        *_within(_ALBERT_LAYER, "ffn", "ffn_output", "full_layer_layer_norm"),
    ),
}
HEADS: Mapping[str, Heads] = {
    "bert": _BERT_HEADS,
    "tinybert": _BERT_HEADS,
    "distilbert": Heads("", "vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector.bias", ""),
    "albert": Heads(
        "pooler",
        "predictions.dense",
        "predictions.LayerNorm",
        "predictions.decoder",
        "predictions.bias",
        "sop_classifier.classifier",
    ),
}
