"""Parameter counts from a configuration, by integer arithmetic.

Publishers print rounded, truncated or wrong figures; these are exact, and each
convention of counting has its own name:

- ``encoder_with_pooler``: what ``BertModel`` holds (the literature's 4.4 M, 110 M).
- ``encoder_without_pooler``: the same for DistilBERT, which has no pooler.
- ``pretraining_checkpoint``: with masked-LM and next-sentence heads, decoder tied.
- ``masked_lm``, ``masked_lm_tied_decoder``: with the masked-LM head alone, decoder tied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.catalog.values import Shape


def compute(family: str | None, shape: Shape) -> dict[str, int] | None:
    """Return the exact counts of a model, by convention.

    Args:
        family: The catalog's family.
        shape: The configuration.

    Returns:
        None when the family has no formula here or a size that it needs is unknown.
    """
    if family not in _FORMULAS:
        return None
    formula, needs = _FORMULAS[family]
    sizes: list[int | None] = [getattr(shape, name) for name in needs]
    known = [size for size in sizes if size is not None]
    return formula(*known) if len(known) == len(sizes) else None


def _bert(layers: int, hidden: int, inner: int, vocab: int, positions: int, types: int) -> dict[str, int]:
    encoder = _embeddings(vocab + positions + types, hidden) + layers * _layer(hidden, inner) + _dense(hidden, hidden)
    next_sentence = _dense(hidden, 2)
    return {
        "encoder_with_pooler": encoder,
        "pretraining_checkpoint": encoder + _masked_lm(hidden, hidden, vocab) + next_sentence,
    }


def _tinybert(layers: int, hidden: int, inner: int, vocab: int, positions: int, types: int) -> dict[str, int]:
    # BERT's encoder; whether a checkpoint has heads or distillation layers differs from file to file.
    counts = _bert(layers, hidden, inner, vocab, positions, types)
    return {"encoder_with_pooler": counts["encoder_with_pooler"]}


def _distilbert(layers: int, hidden: int, inner: int, vocab: int, positions: int) -> dict[str, int]:
    encoder = _embeddings(vocab + positions, hidden) + layers * _layer(hidden, inner)
    return {"encoder_without_pooler": encoder, "masked_lm": encoder + _masked_lm(hidden, hidden, vocab)}


def _albert(hidden: int, narrow: int, inner: int, vocab: int, positions: int, types: int) -> dict[str, int]:
    # Every layer shares one set of weights, so their number does not count.
    encoder = _embeddings(vocab + positions + types, narrow) + _dense(narrow, hidden)
    encoder += _layer(hidden, inner) + _dense(hidden, hidden)
    return {"encoder_with_pooler": encoder, "masked_lm_tied_decoder": encoder + _masked_lm(hidden, narrow, vocab)}


def _embeddings(rows: int, width: int) -> int:
    """Return the tables of words, positions and segments, and their LayerNorm."""
    return rows * width + 2 * width


def _layer(hidden: int, inner: int) -> int:
    """Return one transformer layer: four projections, two dense layers, two LayerNorms."""
    return 4 * _dense(hidden, hidden) + _dense(hidden, inner) + _dense(inner, hidden) + 4 * hidden


def _masked_lm(hidden: int, width: int, vocab: int) -> int:
    """Return the transform, its LayerNorm and the output bias; the decoder is the word table."""
    return _dense(hidden, width) + 2 * width + vocab


def _dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


_BERT_NEEDS = ("layers", "hidden", "intermediate", "vocab_size", "max_position", "type_vocab_size")
_FORMULAS: dict[str, tuple[Callable[..., dict[str, int]], tuple[str, ...]]] = {
    "bert": (_bert, _BERT_NEEDS),
    "bert-miniature": (_bert, _BERT_NEEDS),
    "tinybert": (_tinybert, _BERT_NEEDS),
    "distilbert": (_distilbert, _BERT_NEEDS[:-1]),  # it has no segments
    "albert": (_albert, ("hidden", "embedding", *_BERT_NEEDS[2:])),
}
