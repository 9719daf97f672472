"""What must hold of a model's outputs: alone, and against outputs that were recorded before.

Without a reference: outputs are finite; padding, and what else is in the batch, change
nothing; another place, segment or token does. So a table that is missing, or an attention
that sees nothing, is found; an exchange of two tensors, or of two rows, is not: only a
recorded reference tells those. Outputs are compared and never hashed, since another BLAS,
or another number of threads, moves their last digits.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mirror.compare.finding import Finding, Severity
from mirror.errors import FormatError
from mirror.forward.arithmetic import ACTIVATIONS, softmax
from mirror.forward.network import Outputs, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from mirror.compare.names import CanonicalTensor
    from mirror.compare.sizes import Sizes
    from mirror.forward.arithmetic import Floats

    Run = Callable[..., Outputs]
    Ids = NDArray[np.int64]

_STEP = "forward"
#: What rounding may change, as a share of the largest number, or of 1 where that is smaller. A product over other
#: rows adds up in another order: measured, 1e-6 with weights as initialised, 6e-6 with two to three times these, as
#: training leaves them, 8e-5 with fifteen times these. A mask that is not heeded makes 0.1.
_ROUNDING = 1e-4
#: A change of no more is none; measured, 1.5e-4 is the least, in networks of a width of 12 with weights as initialised.
_NOTHING = 1e-5
#: How near a recorded logit must come; another BLAS moves one by 1e-5.
_RECORDED = 1e-4
_TOKENS, _PADDING = 9, 4
_TOP = 5
#: Width of an attention head in every one of Google's miniatures.
_HEAD = 64
#: A norm over two numbers leaves two states, whatever goes in.
_NARROW = 2
#: Multiply-adds for one token: twice those of ALBERT-xxlarge, the largest model that is known. The weights of
#: ALBERT's layers are there once, so its file can be small and its configuration ask for a thousand layers.
_MOST_WORK = 5 << 30
#: Numbers for one token, of its words, its inner layer or all its states: twice those of the largest vocabulary.
_MOST_WIDE = 1 << 18


class Recorded(NamedTuple):
    """What a model said once.

    Attributes:
        ids: Numbers of the tokens.
        position: Which of them the answer is about, from 0.
        top: The words of the highest logits, and these.
        activation: With which it was computed.
        eps: With which it was computed.
    """

    ids: tuple[int, ...]
    position: int
    top: tuple[tuple[int, float], ...]
    activation: str = "gelu"
    eps: float = 1e-12


def miniature(sizes: Sizes) -> Sizes:
    """Return sizes with a head for every 64 of the width, as all of Google's miniatures have, where none are stated.

    Whoever does not know that a model is one of them must not ask.
    """
    if sizes.heads is not None or sizes.hidden % _HEAD:
        return sizes
    return sizes._replace(heads=sizes.hidden // _HEAD)


def probe(sizes: Sizes) -> Ids:
    """Return the input that every check of a model uses: tokens from all over the vocabulary, ``(1, tokens)``.

    References are recorded for it, so it stays what it is.
    """
    tokens = max(1, min(_TOKENS, sizes.positions // 2))
    return (2 * np.arange(tokens, dtype=np.int64)[None] + 1) * sizes.vocab // (2 * tokens)


def invariants(
    family: str,
    sizes: Sizes,
    tensors: Mapping[str, CanonicalTensor],
    *,
    activation: str = "gelu",
    eps: float = 1e-12,
) -> tuple[Finding, ...]:
    """Return what is wrong with a model's outputs, as far as they alone can tell.

    Args:
        family: One of ``families.FAMILIES``.
        sizes: The sizes of the model; see ``miniature`` where no configuration states the heads.
        tensors: Its tensors, by canonical name.
        activation: As the configuration names it.
        eps: What norms add to the variance.
    """
    if reason := _unready(sizes, activation):
        return (Finding(_STEP, Severity.NOTE, f"not checked: {reason}"),)
    answer = partial(run, family, sizes, tensors, activation=activation, eps=eps)
    ids = probe(sizes)
    try:
        # Numbers as large as they get overflow once more where two of them are compared.
        with np.errstate(all="ignore"):
            alone = answer(ids)
            broken = tuple(_broken(alone))
            return broken or (*_padding(answer, ids, alone, sizes), *_others(answer, ids, alone, sizes))
    except FormatError as error:
        return (_refused(error),)


def _unready(sizes: Sizes, activation: str) -> str:
    """Say why a model cannot be run; nothing when it can."""
    if sizes.layers is None or sizes.heads is None:
        return f"the number of {'layers' if sizes.layers is None else 'heads'} is not known"
    if activation not in ACTIVATIONS:
        return f"an activation that is not known here: {ascii(activation)[:40]}"
    of_layer = 4 * sizes.hidden**2 + 2 * sizes.hidden * sizes.intermediate
    work = sizes.layers * of_layer + sizes.vocab * sizes.embedding
    width = max(sizes.vocab, sizes.intermediate, sizes.layers * sizes.hidden)
    if work > _MOST_WORK or width > _MOST_WIDE:
        return "larger than any model that is known"
    return ""


def _refused(error: FormatError) -> Finding:
    text = str(error).removeprefix(f"tensor {error.tensor}: ")
    return Finding(_STEP, Severity.ERROR, f"could not be run: {text}", error.tensor)


def _broken(alone: Outputs) -> Iterator[Finding]:
    """Yield what is no number, or no probability, in outputs; only the first, since all that follows is too."""
    for number, states in enumerate(alone.hidden):
        if not np.isfinite(states).all():
            where = f"of layer {number}" if number else "of the embeddings"
            yield Finding(_STEP, Severity.ERROR, f"the output {where} is not finite")
            return
    if not alone.row_error <= _ROUNDING:
        yield Finding(_STEP, Severity.ERROR, f"a row of attention is off its sum of 1 by {alone.row_error:.1e}")
    for name, values in _heads(alone):
        if not np.isfinite(values).all():
            yield Finding(_STEP, Severity.ERROR, f"the output of {name} is not finite")
        elif name != "pooler" and not np.abs(softmax(values).sum(axis=-1) - 1).max() <= _ROUNDING:
            yield Finding(_STEP, Severity.ERROR, f"the probabilities of {name} do not sum to 1")


def _heads(outputs: Outputs) -> Iterator[tuple[str, Floats]]:
    for name, values in (("pooler", outputs.pooled), ("mlm", outputs.mlm), ("nsp", outputs.nsp)):
        if values is not None:
            yield name, values


def _padding(answer: Run, ids: Ids, alone: Outputs, sizes: Sizes) -> Iterator[Finding]:
    """Compare the outputs with those of the same tokens before padding."""
    tokens = ids.shape[1]
    padding = min(_PADDING, sizes.positions - tokens)
    if not padding:
        yield Finding(_STEP, Severity.NOTE, "padding not checked: no position is free")
        return
    padded = np.pad(ids, ((0, 0), (0, padding)), mode="edge")
    found = answer(padded, mask=np.arange(tokens + padding)[None] < tokens)
    yield from _same(alone, _row(found, 0, tokens), "padding")


def _others(answer: Run, ids: Ids, alone: Outputs, sizes: Sizes) -> Iterator[Finding]:
    """Compare the outputs with those beside others in a batch, and with these others."""
    turned = np.roll(ids, 1, axis=1)
    others = ids.copy()
    others[0, 1:] = ids[0, 0]
    segments = np.zeros((4, ids.shape[1]), np.int64)
    has_segments = sizes.types > 1
    segments[3] = has_segments
    batch = np.concatenate([ids, turned, others, ids])
    found = answer(batch, segments) if has_segments else answer(batch)
    yield from _same(alone, _row(found, 0, ids.shape[1]), "what else is in the batch")
    if min(sizes.embedding, sizes.hidden) <= _NARROW or ids.shape[1] == 1:
        yield Finding(_STEP, Severity.NOTE, "not checked whether places and segments matter: too few numbers to tell")
        return
    states, of_turned, of_others, of_segment = found.hidden[-1]
    # Without positions a network does not care for order: each token takes its output along.
    if _is_same(states, np.roll(of_turned, -1, axis=0), _NOTHING):
        yield Finding(_STEP, Severity.ERROR, "the order of tokens changes nothing")
    if ids[0, 0] != ids[0, -1] and _is_same(states[0], of_others[0], _NOTHING):
        yield Finding(_STEP, Severity.ERROR, "the other tokens change nothing about the first")
    if has_segments and _is_same(states, of_segment, _NOTHING):
        yield Finding(_STEP, Severity.ERROR, "the segment changes nothing")


def _row(outputs: Outputs, row: int, tokens: int) -> Outputs:
    """Return the outputs of one row, as if it were alone and had so many tokens."""
    return Outputs(
        tuple(states[row : row + 1, :tokens] for states in outputs.hidden),
        None if outputs.pooled is None else outputs.pooled[row : row + 1],
        None if outputs.mlm is None else outputs.mlm[row : row + 1, :tokens],
        None if outputs.nsp is None else outputs.nsp[row : row + 1],
        outputs.row_error,
    )


def _same(alone: Outputs, found: Outputs, cause: str) -> Iterator[Finding]:
    """Yield which output differs that should not."""
    after = {"hidden": found.hidden[-1], **dict(_heads(found))}
    for name, before in (("hidden", alone.hidden[-1]), *_heads(alone)):
        if not _is_same(before, after[name], _ROUNDING):
            by = float(np.abs(before - after[name]).max())
            yield Finding(_STEP, Severity.ERROR, f"{cause} changes the output of {name} by {by:.1e}")


def _is_same(one: Floats, other: Floats, share: float) -> bool:
    # A NaN is the same as nothing.
    return bool(np.abs(one - other).max() <= share * max(1.0, float(np.abs(one).max())))


def top5(outputs: Outputs, position: int, row: int = 0) -> tuple[tuple[int, float], ...]:
    """Return the words of the highest logits at a position, and these; of equal ones the first word.

    Raises:
        ValueError: There are no logits of words.
    """
    if outputs.mlm is None:
        raise ValueError("a model without the head for words")
    logits = outputs.mlm[row, position]
    best = np.argsort(-logits, kind="stable")[:_TOP]
    return tuple((int(word), float(logits[word])) for word in best)


def against(
    family: str, sizes: Sizes, tensors: Mapping[str, CanonicalTensor], recorded: Recorded
) -> tuple[Finding, ...]:
    """Return in what a model's answer is not the recorded one.

    Args:
        family: One of ``families.FAMILIES``.
        sizes: The sizes of the model.
        tensors: Its tensors, by canonical name.
        recorded: What it said once.
    """
    if reason := _unready(sizes, recorded.activation):
        return (Finding(_STEP, Severity.NOTE, f"not compared: {reason}"),)
    if not _fits(recorded, sizes):
        return (Finding(_STEP, Severity.ERROR, "the recorded input is of a model of other sizes"),)
    try:
        ids = np.array([recorded.ids], np.int64)
        outputs = run(family, sizes, tensors, ids, activation=recorded.activation, eps=recorded.eps)
    except FormatError as error:
        return (_refused(error),)
    if outputs.mlm is None:
        return (Finding(_STEP, Severity.NOTE, "not compared: the file does not hold the head for words"),)
    return tuple(_compared(outputs.mlm[0, recorded.position], recorded))


def _fits(recorded: Recorded, sizes: Sizes) -> bool:
    words = (*recorded.ids, *(word for word, _ in recorded.top))
    is_input = 0 <= recorded.position < len(recorded.ids) <= sizes.positions
    return is_input and all(0 <= word < sizes.vocab for word in words)


def _compared(logits: Floats, recorded: Recorded) -> Iterator[Finding]:
    """Yield where logits are not the recorded ones; two that nearly agree may change places."""
    for word, value in recorded.top:
        if not abs(float(logits[word]) - value) <= _RECORDED:
            text = f"the logit of word {word} is {float(logits[word]):.5f}, where {value:.5f} was recorded"
            yield Finding(_STEP, Severity.ERROR, text)
    others = np.delete(logits, [word for word, _ in recorded.top])
    least = min((value for _, value in recorded.top), default=np.inf)
    if not np.all(others <= least + _RECORDED):
        yield Finding(_STEP, Severity.ERROR, "a word that was not among the first comes before them")
