"""How each format names and lays its tensors, as rules from a file's name to the canonical one.

A dialect has two steps. ``plain`` needs the name alone: separators, scopes and what the
framework calls a parameter. ``own`` wants the family too, and is asked after the model's
prefix is gone: what Google and Paddle call the parts of a model. Names that no rule fits
pass through.

Source: ``transformers`` ``load_tf_weights_in_bert`` and ``…_in_albert``,
``convert_tf_weight_name_to_pt_weight_name``, ``modeling_flax_{bert,albert,distilbert}``;
PaddleNLP 2.8 ``paddlenlp.transformers.{bert,tinybert,distilbert,albert}.modeling``, and
2.0 for ``decoder_weight`` and ``decoder_bias``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mirror.compare.families import ALIASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Dialect(NamedTuple):
    """The rules of one format.

    Attributes:
        plain: From a file's name to a dotted one, the model's prefix still on it.
        prefixes: What may stand before the model's own names.
        own: From a dotted name without prefix, and a family, to the canonical name.
        is_turned: Whether the matrix of a file's name and canonical name lies ``(in, out)``.
    """

    plain: Callable[[str], str]
    prefixes: tuple[str, ...]
    own: Callable[[str, str], str]
    is_turned: Callable[[str, str], bool]


def dialect(container: str) -> Dialect:
    """Return the rules of a checkpoint's format."""
    return _DIALECTS.get(container, _HUGGING_FACE)


def _as_it_is(name: str, family: str) -> str:
    return name


def _is_kernel(file_name: str, name: str) -> bool:
    return file_name.removesuffix(":0").rpartition("/")[2] == "kernel"


def _with_last(name: str, words: Mapping[str, str]) -> str:
    """Return a dotted name with another word for the parameter, its last part."""
    module, dot, parameter = name.rpartition(".")
    return f"{module}.{words.get(parameter, parameter)}" if dot else name


def _renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """Return a name after the first rule that fits its beginning."""
    for pattern, replacement in rules:
        if found := re.match(pattern, name):
            return found.expand(replacement) + name[found.end() :]
    return name


#: Files of 2018 and 2019 have TensorFlow's words for a norm in PyTorch.
_OLD_WORDS: Mapping[str, str] = {"gamma": "weight", "beta": "bias"}


def _torch_plain(name: str) -> str:
    return _with_last(name, _OLD_WORDS)


_FLAX_WORDS: Mapping[str, str] = {"kernel": "weight", "scale": "weight", "embedding": "weight"}


def _flax_plain(name: str) -> str:
    return _with_last(name.replace("/", "."), _FLAX_WORDS)


_KERAS_WORDS: Mapping[str, str] = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}
#: Of the layer, of the model, and of a head: ``mlm___cls/tf_bert_for_masked_lm/mlm___``.
_KERAS_SCOPE = re.compile(r"(?:[^/]+/tf_[a-z0-9_]+/)?(?:[a-z]+___)?")


def _keras_plain(name: str) -> str:
    path = _KERAS_SCOPE.sub("", name.removesuffix(":0"), count=1)
    return _with_last(re.sub(r"_\._([0-9]+)(?=/)", r".\1", path).replace("/", "."), _KERAS_WORDS)


_GOOGLE_WORDS: Mapping[str, str] = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "output_weights": "weight",
    "output_bias": "bias",
}


def _google_plain(name: str) -> str:
    dotted = name.replace("/", ".")
    return f"{dotted}.weight" if dotted.endswith("_embeddings") else _with_last(dotted, _GOOGLE_WORDS)


_GOOGLE_BERT = ((r"encoder\.layer_([0-9]+)\.", r"encoder.layer.\1."),)
_GOOGLE_LAYER = re.compile(r"encoder\.transformer\.group_([0-9]+)\.inner_group_([0-9]+)\.")
_GOOGLE_ALBERT_LAYER = (
    (r"LayerNorm_1\.", "full_layer_layer_norm."),
    (r"LayerNorm\.", "attention.LayerNorm."),
    (r"attention_1\.self\.", "attention."),
    (r"attention_1\.output\.dense\.", "attention.dense."),
    (r"ffn_1\.intermediate\.output\.dense\.", "ffn_output."),
    (r"ffn_1\.intermediate\.dense\.", "ffn."),
)
_GOOGLE_ALBERT = (
    (r"pooler\.dense\.", "pooler."),
    (r"cls\.predictions\.transform\.", "predictions."),
    (r"cls\.predictions\.", "predictions."),
    (r"cls\.seq_relationship\.", "sop_classifier.classifier."),
)


def _google(name: str, family: str) -> str:
    if family != "albert":
        return _renamed(name, _GOOGLE_BERT)
    if found := _GOOGLE_LAYER.match(name):
        group, inner = found.groups()
        part = _renamed(name[found.end() :], _GOOGLE_ALBERT_LAYER)
        return f"encoder.albert_layer_groups.{group}.albert_layers.{inner}.{part}"
    return _renamed(name, _GOOGLE_ALBERT)


_PADDLE_LAYER = re.compile(r"encoder\.layers\.([0-9]+)\.([a-z0-9_.]+)\.(weight|bias)$")
_PADDLE_BERT_PARTS: Mapping[str, str] = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
_PADDLE_DISTILBERT_PARTS: Mapping[str, str] = {
    "self_attn.q_proj": "attention.q_lin",
    "self_attn.k_proj": "attention.k_lin",
    "self_attn.v_proj": "attention.v_lin",
    "self_attn.out_proj": "attention.out_lin",
    "norm1": "sa_layer_norm",
    "linear1": "ffn.lin1",
    "linear2": "ffn.lin2",
    "norm2": "output_layer_norm",
}
_PADDLE_REST = (
    (r"embeddings\.layer_norm\.", "embeddings.LayerNorm."),
    (r"cls\.predictions\.layer_norm\.", "cls.predictions.transform.LayerNorm."),
    (r"cls\.predictions\.transform\.(weight|bias)$", r"cls.predictions.transform.dense.\1"),
    (r"cls\.predictions\.decoder_bias$", "cls.predictions.bias"),
    (r"cls\.predictions\.decoder_weight$", "cls.predictions.decoder.weight"),
    (r"predictions\.layer_norm\.", "predictions.LayerNorm."),
    (r"(encoder\..*\.attention)\.layer_norm\.", r"\1.LayerNorm."),
)


def _paddle(name: str, family: str) -> str:
    found = _PADDLE_LAYER.match(name)
    if found is None:
        return _renamed(name, _PADDLE_REST)
    number, part, parameter = found.groups()
    if family == "distilbert":
        return f"transformer.layer.{number}.{_PADDLE_DISTILBERT_PARTS.get(part, part)}.{parameter}"
    return f"encoder.layer.{number}.{_PADDLE_BERT_PARTS.get(part, part)}.{parameter}"


def _is_paddle_linear(file_name: str, name: str) -> bool:
    # Which way a tied decoder lies depends on PaddleNLP's version: its shape decides, not its name.
    return name.endswith(".weight") and not name.startswith("embeddings.") and name not in ALIASES


_MODELS = ("bert.", "albert.", "distilbert.", "tinybert.")
_HUGGING_FACE = Dialect(_torch_plain, _MODELS, _as_it_is, lambda file_name, name: False)
_DIALECTS: Mapping[str, Dialect] = {
    "flax": Dialect(_flax_plain, _MODELS, _as_it_is, _is_kernel),
    "hdf5": Dialect(_keras_plain, _MODELS, _as_it_is, _is_kernel),
    "tensorflow": Dialect(_google_plain, _MODELS, _google, _is_kernel),
    "paddle": Dialect(lambda name: name, (*_MODELS, "transformer."), _paddle, _is_paddle_linear),
}
