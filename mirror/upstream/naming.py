"""What each framework calls a tensor, which way it lies there, and what is stored twice.

From a canonical name (``weights``) to the entries of one file. Kernels of TensorFlow, Flax
and Paddle lie ``(in, out)``; embeddings, and what multiplies like one, do not.

Source: ``transformers`` ``load_tf_weights_in_bert`` and ``…_in_albert``,
``modeling_flax_{bert,distilbert,albert}``; PaddleNLP 2.8 ``paddlenlp.transformers``
``{bert,tinybert,distilbert,albert}.modeling``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirror.upstream.weights import TensorSpec

_PREFIXES = {
    "bert": "bert.",
    "tinybert": "bert.",
    "distilbert": "distilbert.",
    "distilbert-classifier": "distilbert.",
    "albert": "albert.",
}
_PADDLE_PREFIXES = {**_PREFIXES, "tinybert": "tinybert.", "albert": "transformer."}
_HEADS = re.compile(r"(cls|vocab_\w+|pre_classifier|classifier|predictions|sop_classifier)\b")


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry of a file.

    Attributes:
        name: What the file calls it.
        spec: The tensor whose numbers it holds.
        transposed: Whether it lies ``(in, out)``.
        alias: Whether another entry holds the same numbers (a tied weight).
    """

    name: str
    spec: TensorSpec
    transposed: bool = False
    alias: bool = False


def hugging_face(architecture: str, specs: list[TensorSpec]) -> list[Stored]:
    """Return the entries of a PyTorch state dict: tied weights are there under both names."""
    tied = {
        "bert": {"cls.predictions.decoder.weight": _WORDS, "cls.predictions.decoder.bias": "cls.predictions.bias"},
        "distilbert": {"vocab_projector.weight": _WORDS},
        "albert": {"predictions.decoder.weight": _WORDS, "predictions.decoder.bias": "predictions.bias"},
    }.get(architecture, {})
    by_name = {spec.name: spec for spec in specs if not spec.name.startswith("fit_")}
    entries = [Stored(_prefixed(spec.name, _PREFIXES[architecture]), spec) for spec in by_name.values()]
    return entries + [Stored(name, by_name[target], alias=True) for name, target in tied.items()]


_WORDS = "embeddings.word_embeddings.weight"


def _prefixed(name: str, prefix: str) -> str:
    return name if _HEADS.match(name) else prefix + name


def flax(architecture: str, specs: list[TensorSpec]) -> list[Stored]:
    """Return the arrays of a Flax model, paths joined by ``/``; tied weights are there once."""
    entries = hugging_face(architecture, specs)
    return [Stored(_flax_path(one.name), one.spec, one.spec.linear) for one in entries if not one.alias]


def _flax_path(name: str) -> str:
    name = re.sub(r"((?i:layer_?norm))\.weight$", r"\1.scale", name)
    name = re.sub(r"(_embeddings)\.weight$", r"\1.embedding", name)
    return re.sub(r"\.weight$", ".kernel", name).replace(".", "/")


def tensorflow(architecture: str, specs: list[TensorSpec]) -> list[Stored]:
    """Return the variables of Google's checkpoint; tied weights are there once."""
    rename = _albert_variable if architecture == "albert" else _bert_variable
    # The two next-sentence rows are multiplied transposed, and stored as PyTorch has them.
    return [Stored(rename(spec.name), spec, spec.linear and "relationship" not in rename(spec.name)) for spec in specs]


def _bert_variable(name: str) -> str:
    name = re.sub(r"encoder\.layer\.(\d+)", r"encoder.layer_\1", name)
    name = name.replace("cls.predictions.bias", "cls.predictions.output_bias")
    name = name.replace("seq_relationship.weight", "seq_relationship.output_weights")
    name = name.replace("seq_relationship.bias", "seq_relationship.output_bias")
    return _variable(_prefixed(name, "bert."))


def _albert_variable(name: str) -> str:
    layer = "encoder.transformer.group_0.inner_group_0"
    for old, new in (
        ("encoder.albert_layer_groups.0.albert_layers.0", layer),
        ("full_layer_layer_norm", "LayerNorm_1"),
        ("attention.LayerNorm", "LayerNorm"),
        ("attention.dense", "attention_1.output.dense"),
        ("attention.query", "attention_1.self.query"),
        ("attention.key", "attention_1.self.key"),
        ("attention.value", "attention_1.self.value"),
        ("ffn_output", "ffn_1.intermediate.output.dense"),
        ("ffn.", "ffn_1.intermediate.dense."),
        ("sop_classifier.classifier.weight", "cls.seq_relationship.output_weights"),
        ("sop_classifier.classifier.bias", "cls.seq_relationship.output_bias"),
        ("predictions.bias", "cls.predictions.output_bias"),
        ("predictions.LayerNorm", "cls.predictions.transform.LayerNorm"),
        ("predictions.dense", "cls.predictions.transform.dense"),
    ):
        name = name.replace(old, new)
    return _variable(_prefixed(re.sub(r"^pooler\.", "pooler.dense.", name), "bert."))


def _variable(name: str) -> str:
    """Return a dotted name as a TensorFlow variable: slashes, gamma and beta, kernels."""
    name = re.sub(r"(LayerNorm(?:_1)?)\.weight$", r"\1.gamma", name)
    name = re.sub(r"(LayerNorm(?:_1)?)\.bias$", r"\1.beta", name)
    name = re.sub(r"(_embeddings)\.weight$", r"\1", name)
    return re.sub(r"\.weight$", ".kernel", name).replace(".", "/")


def paddle(architecture: str, specs: list[TensorSpec]) -> list[Stored]:
    """Return the entries of PaddleNLP's state dict: tied weights are second full copies."""
    rename = {"albert": _albert_parameter, "bert": _bert_parameter, "tinybert": _bert_parameter}.get(
        architecture, _distilbert_parameter
    )
    prefix = _PADDLE_PREFIXES[architecture]
    by_name = {spec.name: spec for spec in specs}
    entries = [Stored(_prefixed(rename(name), prefix), spec, spec.linear) for name, spec in by_name.items()]
    copies = {
        # BERT's decoder shares the word table as it lies; the others are linear layers.
        "bert": (("cls.predictions.decoder.weight", _WORDS, False), ("cls.predictions.decoder.bias", _BIAS, False)),
        "distilbert": (("vocab_projector.weight", _WORDS, True),),
        "albert": (
            ("predictions.decoder.weight", _WORDS, True),
            ("predictions.decoder.bias", "predictions.bias", False),
        ),
    }.get(architecture, ())
    return entries + [Stored(name, by_name[target], turned, alias=True) for name, target, turned in copies]


_BIAS = "cls.predictions.bias"


def _bert_parameter(name: str) -> str:
    for old, new in (
        ("embeddings.LayerNorm", "embeddings.layer_norm"),
        ("encoder.layer.", "encoder.layers."),
        ("attention.self.query", "self_attn.q_proj"),
        ("attention.self.key", "self_attn.k_proj"),
        ("attention.self.value", "self_attn.v_proj"),
        ("attention.output.dense", "self_attn.out_proj"),
        ("attention.output.LayerNorm", "norm1"),
        ("intermediate.dense", "linear1"),
        ("output.LayerNorm", "norm2"),
        ("output.dense", "linear2"),
        ("predictions.transform.dense", "predictions.transform"),
        ("predictions.transform.LayerNorm", "predictions.layer_norm"),
        (_BIAS, "cls.predictions.decoder_bias"),
    ):
        name = name.replace(old, new)
    return name


def _distilbert_parameter(name: str) -> str:
    for old, new in (
        ("embeddings.LayerNorm", "embeddings.layer_norm"),
        ("transformer.layer.", "encoder.layers."),
        ("attention.q_lin", "self_attn.q_proj"),
        ("attention.k_lin", "self_attn.k_proj"),
        ("attention.v_lin", "self_attn.v_proj"),
        ("attention.out_lin", "self_attn.out_proj"),
        ("ffn.lin1", "linear1"),
        ("ffn.lin2", "linear2"),
        ("sa_layer_norm", "norm1"),
        ("output_layer_norm", "norm2"),
    ):
        name = name.replace(old, new)
    return name


def _albert_parameter(name: str) -> str:
    # Only three of ALBERT's norms are renamed; full_layer_layer_norm keeps its name.
    return re.sub(r"\.LayerNorm\.", ".layer_norm.", name)
