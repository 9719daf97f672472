"""What must hold of a model's outputs: alone, and beside what the same numbers said before.

Without a reference: outputs are finite; padding, and what else is in the batch, change
nothing; another place, segment or token does. So a table that is missing, or an attention
that sees nothing, is found; an exchange of two tensors, or of two rows, is not: the digests
of tensors tell those. What the same numbers said once they must say again, here or on
another machine: else memory, processor or arithmetic is at fault. Outputs are compared and
never hashed, since another BLAS, or another number of threads, moves their last digits.
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

#: Words of the highest logits, and these.
Top = tuple[tuple[int, float], ...]

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


class Answer(NamedTuple):
    """What a model says at one place of one input.

    Attributes:
        ids: Numbers of the tokens.
        position: Which of them the answer is about, from 0.
        heads: Of attention, with which it was computed.
        activation: Likewise.
        eps: Likewise.
        top: The words of the highest logits, and these.
    """

    ids: tuple[int, ...]
    position: int
    heads: int
    activation: str
    eps: float
    top: Top


class Judged(NamedTuple):
    """What is wrong with a model's outputs, and what it says; None where it has no head for words, or is wrong."""

    findings: tuple[Finding, ...]
    answer: Answer | None


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


def judge(
    family: str,
    sizes: Sizes,
    tensors: Mapping[str, CanonicalTensor],
    *,
    activation: str = "gelu",
    eps: float = 1e-12,
) -> Judged:
    """Return what is wrong with a model's outputs, as far as they alone can tell, and what it says to the probe.

    Args:
        family: One of ``families.FAMILIES``.
        sizes: The sizes of the model; see ``miniature`` where no configuration states the heads.
        tensors: Its tensors, by canonical name.
        activation: As the configuration names it.
        eps: What norms add to the variance.
    """
    if reason := _unready(sizes, activation):
        return Judged((_unchecked(f"not checked: {reason}"),), None)
    answer = partial(run, family, sizes, tensors, activation=activation, eps=eps)
    ids = probe(sizes)
    try:
        # Numbers as large as they get overflow once more where two of them are compared.
        with np.errstate(all="ignore"):
            alone = answer(ids)
            found = tuple(_broken(alone)) or (
                *_padding(answer, ids, alone, sizes),
                *_others(answer, ids, alone, sizes),
            )
    except FormatError as error:
        return Judged((_refused(error),), None)
    if alone.mlm is None or sizes.heads is None or any(one.severity is Severity.ERROR for one in found):
        return Judged(found, None)
    place = ids.shape[1] // 2
    top = top5(alone, place)
    return Judged(found, Answer(tuple(map(int, ids[0])), place, sizes.heads, activation, eps, top))


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


def _unchecked(text: str) -> Finding:
    return Finding(_STEP, Severity.NOTE, text, unchecked=True)


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
        yield _unchecked("padding not checked: no position is free")
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
        yield _unchecked("not checked whether places and segments matter: too few numbers to tell")
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


def top5(outputs: Outputs, position: int, row: int = 0) -> Top:
    """Return the words of the highest logits at a position, and these; of equal ones the first word.

    Raises:
        ValueError: There are no logits of words.
    """
    if outputs.mlm is None:
        raise ValueError("a model without the head for words")
    logits = outputs.mlm[row, position]
    best = np.argsort(-logits, kind="stable")[:_TOP]
    return tuple((int(word), float(logits[word])) for word in best)


def moved(before: Top, now: Top) -> tuple[Finding, ...]:
    """Return in what an answer is not the one that was recorded; words that nearly agree may change places.

    Both are of the same numbers, so whatever differs is the fault of who computed.
    """
    was, is_now = dict(before), dict(now)
    found = [
        f"the logit of word {word} is {is_now[word]:.5f}, where {value:.5f} was recorded"
        for word, value in was.items()
        if word in is_now and not abs(is_now[word] - value) <= _RECORDED
    ]
    for one, other, text in (
        (was, is_now, "was recorded among the first words, and is none of them"),
        (is_now, was, "is one of the first words, and was not recorded as one"),
    ):
        least = min(other.values(), default=np.inf)
        found += [f"word {word} {text}" for word in one if word not in other and not one[word] <= least + _RECORDED]
    return tuple(Finding(_STEP, Severity.ERROR, text) for text in found)
