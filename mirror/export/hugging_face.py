"""How ``transformers`` wants a model of ours: names of tensors, configuration, tokenizer.

A canonical name lacks the model's prefix; the classes that have heads, which are what
publishers save, put it before everything but the heads. What a publisher's own
configuration says is kept, and only what it leaves out is added.

Source: ``transformers`` ``modeling_{bert,distilbert,albert}``, ``configuration_{bert,distilbert,albert}``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.compare.digest import group_of
from mirror.compare.families import ALIASES, WORDS
from mirror.compare.sizes import Sizes
from mirror.load.known import configurations, parsed
from mirror.load.material import texts_beside

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mirror.compare.names import Canonical
    from mirror.weights import Opened

WEIGHTS = "model.safetensors"
_CONFIG, _TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
#: Files of a tokenizer, by the end of the name that publishers give them, and what transformers looks for.
_TOKENIZERS = (
    (r"vocab\.txt$", "vocab.txt"),
    (r"tokenizer\.json$", "tokenizer.json"),
    (r"tokenizer_config\.json$", _TOKENIZER_CONFIG),
    (r"(?:spiece|30k-clean)\.model$", "spiece.model"),
)


class _Kind(NamedTuple):
    """What transformers calls a family: in a configuration, before its tensors, and its classes."""

    model_type: str
    prefix: str
    classes: str


_KINDS: Mapping[str, _Kind] = {
    "bert": _Kind("bert", "bert.", "Bert"),
    "tinybert": _Kind("bert", "bert.", "Bert"),
    "distilbert": _Kind("distilbert", "distilbert.", "DistilBert"),
    "albert": _Kind("albert", "albert.", "Albert"),
}
FAMILIES = frozenset(_KINDS)
#: Groups that a model has without any head.
_BARE = frozenset({"core", "pooler"})
#: TinyBERT's distillation layers: no class of transformers has them.
_NOWHERE = frozenset({"fit"})
_DECODERS: Mapping[str, str] = {
    "cls.predictions.decoder.weight": "cls.predictions.decoder.bias",
    "predictions.decoder.weight": "predictions.decoder.bias",
}
_SIZES: Mapping[str, str] = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "intermediate": "intermediate_size",
    "vocab": "vocab_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
}
_DISTILBERT: Mapping[str, str] = {
    "num_hidden_layers": "n_layers",
    "hidden_size": "dim",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}
#: What else of another configuration means the same to transformers.
_KEPT = ("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "pad_token_id")


def names(tensors: Canonical) -> dict[str, str]:
    """Return the canonical name of every tensor that transformers has a place for, by what it is called there."""
    prefix, held = _KINDS[tensors.family].prefix, tensors.tensors
    groups = {name: group_of(name) for name in held}
    found = {prefix + name if group in _BARE else name: name for name, group in groups.items() if group not in _NOWHERE}
    for weight, bias in _DECODERS.items():
        # Only where the decoder is tied to the words does transformers tie its bias to the head's.
        if weight in held and bias not in held and ALIASES[bias] in held:
            found[bias] = ALIASES[bias]
    return found


def beside(opened: Opened) -> dict[str, bytes]:
    """Return the files that a folder has beside the weights: configuration and tokenizer, as far as they are known.

    Raises:
        FormatError: A configuration is nonsense.
    """
    texts = texts_beside(opened.texts, opened.proof.loaded.weights.name)
    config = _configuration(opened)
    found = {} if config is None else {_CONFIG: config}
    for pattern, name in _TOKENIZERS:
        path = next((path for path in sorted(texts) if re.search(pattern, path)), None)
        if path is not None:
            found[name] = bytes(texts[path])
    if opened.known.cased and "vocab.txt" in found and not found.keys() & {_TOKENIZER_CONFIG, "tokenizer.json"}:
        found[_TOKENIZER_CONFIG] = _json({"do_lower_case": False})  # else everything would lose its capitals
    return found


def _configuration(opened: Opened) -> bytes | None:
    """Return a ``config.json``: the publisher's own where it says enough; None where no sizes are known."""
    tensors, name = opened.tensors, opened.proof.loaded.weights.name
    said: dict[str, Any] = {"model_type": _KINDS[tensors.family].model_type, "architectures": [architecture(tensors)]}
    if tensors.untied and WORDS in tensors.tensors:
        said["tie_word_embeddings"] = False
    own = configurations(opened.texts, name)
    for path, text in own.items():
        found = parsed(path, text)
        if re.search(r"(?:^|[/!])config\.json$", path):
            whole = said | found | {key: said[key] for key in said.keys() & {"tie_word_embeddings"}}
            return bytes(text) if whole == found else _json(whole)
        return _json(said | _translated(found, tensors.family))
    return _json(said | _translated(opened.known.config, tensors.family)) if opened.known.config else None


def architecture(tensors: Canonical) -> str:
    """Return the class of transformers that has exactly these tensors."""
    classes, present = _KINDS[tensors.family].classes, {group_of(name) for name in tensors.tensors}
    return classes + _head(present, tensors.tensors)


def _head(groups: Collection[str], tensors: Collection[str]) -> str:
    if "qa_outputs.weight" in tensors:
        return "ForQuestionAnswering"
    if "classifier.weight" in tensors:
        return "ForSequenceClassification"
    if "mlm" in groups:
        return "ForPreTraining" if "nsp" in groups else "ForMaskedLM"
    return "ForNextSentencePrediction" if "nsp" in groups else "Model"


def _translated(stated: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Return another publisher's configuration in the words of transformers.

    Raises:
        FormatError: It is nonsense.
    """
    sizes = Sizes.of(stated, family)._asdict()
    found: dict[str, Any] = {key: sizes[size] for size, key in _SIZES.items() if sizes[size]}
    flat = _flat(stated)
    found |= {key: flat[key] for key in _KEPT if key in flat}
    if family == "distilbert":
        return {_DISTILBERT.get(key, key): value for key, value in found.items()}
    if family == "albert":
        found |= {"embedding_size": sizes["embedding"], "num_hidden_groups": 1, "inner_group_num": 1}
    return found | {"layer_norm_eps": flat.get("layer_norm_eps", 1e-12)}


def _flat(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration of PaddleNLP with what stands in ``init_args`` beside the rest, which goes before."""
    inside = stated.get("init_args")
    found: dict[str, Any] = {}
    for one in inside if isinstance(inside, list) else ():
        found |= _flat(one) if isinstance(one, dict) else {}
    return found | dict(stated)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
