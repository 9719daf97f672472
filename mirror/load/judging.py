"""One weight file, judged: container, structure, numbers, and the digest of every tensor.

A file is sound when nothing of this is an error. What could not be checked is said, never
passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.compare import structure, values
from mirror.compare.digest import TensorDigest, digests, roots
from mirror.compare.finding import Finding, Severity, Soundness
from mirror.compare.names import canonical
from mirror.compare.sizes import Sizes
from mirror.errors import FormatError, MirrorError
from mirror.formats.sniff import HEAD, impostor, kind
from mirror.load import words
from mirror.load.known import Known, configurations, contradictions, misprinted, parsed
from mirror.load.reading import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.compare.names import Canonical
    from mirror.forward.checks import Answer, Judged
    from mirror.load.material import Weights

#: Of the norms of all four families, where a configuration does not say.
_EPS = 1e-12
#: What a trainer leaves beside the weights, in a format of theirs: Hugging Face's writes all of these.
_TRAINING = re.compile(r"(^|[/!])(training_args|optimizer|scheduler|scaler|rng_state[^/]*)\.(bin|pt|pth)$")
_CONTAINER, _STRUCTURE, _CONFIGURATION = "container", "structure", "configuration"


class Loaded(NamedTuple):
    """What was found in one weight file.

    Attributes:
        weights: Which one.
        format: Of its checkpoint; None when it could not be read.
        family: One of ``compare.families.FAMILIES``; None when that could not be told.
        parameters: Elements of its tensors, tied ones once; None when it could not be read.
        tensors: Every canonical tensor, digested, by name.
        roots: The canonical digest of each group of tensors, hex.
        findings: What there is to say, in the order of the steps.
        answer: What the model says to the probe; None where it was not run, or has no head for words.
    """

    weights: Weights
    format: str | None
    family: str | None
    parameters: int | None
    tensors: tuple[TensorDigest, ...]
    roots: Mapping[str, str]
    findings: tuple[Finding, ...]
    answer: Answer | None = None

    @property
    def verdict(self) -> Soundness:
        """What it is; only what was read can be sound."""
        if any(one.severity is Severity.ERROR for one in self.findings):
            return Soundness.UNSOUND
        return Soundness.UNREAD if self.format is None else Soundness.SOUND

    @property
    def sound(self) -> bool:
        """Whether it was read, and nothing that was found is an error."""
        return self.verdict is Soundness.SOUND


def judge(
    weights: Weights, texts: Mapping[str, memoryview], known: Known, *, threads: int = 2, forward: bool = False
) -> Loaded:
    """Return what is found in a weight file; what is wrong with it is a finding, not an error.

    Args:
        weights: The file.
        texts: What stands beside it: configurations, vocabularies.
        known: What the catalog says.
        threads: How many hash.
        forward: Whether the model is run as well, where everything else is right.
    """
    try:
        checkpoint = read(weights)
    except FormatError as error:
        return unread(weights, error, _gravity(weights, known))
    try:
        found = canonical(checkpoint)
        if found.family == "bert" and known.family == "tinybert":  # the names of both are the same
            found = canonical(checkpoint, "tinybert")
    except FormatError as error:
        return unread(weights, error, Severity.ERROR)._replace(format=checkpoint.format)
    findings, stated = _structure(found, weights, texts, known)
    findings += values.look(found.tensors.values())
    findings += words.check(found, texts, weights.name, cased=known.cased)
    answer = None
    if forward and stated is not None and not any(one.severity is Severity.ERROR for one in findings):
        outputs = _forward(found, stated, known)
        findings += outputs.findings
        answer = outputs.answer
    tensors = digests(found, threads=threads)
    return Loaded(
        weights,
        checkpoint.format,
        found.family or None,
        sum(one.array.size for name, one in found.tensors.items() if name not in found.untied),
        tensors,
        roots(tensors),
        tuple(findings),
        answer,
    )


def _gravity(weights: Weights, known: Known) -> Severity:
    """Return how much it weighs that a file cannot be read: of other models than ours, nobody promised that it can."""
    if _TRAINING.search(weights.name) or not (weights.surely or _pretends(weights.parts[0])):
        return Severity.NOTE
    return Severity.ERROR if known.family else Severity.WARNING


def _pretends(data: memoryview) -> bool:
    """Whether bytes begin as weights do, or as what often lies in their place."""
    try:
        kind(data)
    except FormatError:
        return impostor(bytes(data[:HEAD]), len(data)) is not None
    return True


def unread(weights: Weights, error: MirrorError, severity: Severity) -> Loaded:
    """Return what is to be said of weights that could not be read."""
    return Loaded(weights, None, None, None, (), {}, (Finding(_CONTAINER, severity, str(error)),))


class _Stated(NamedTuple):
    """The sizes that the tensors must have, and the configuration that they are from; empty where there is none."""

    sizes: Sizes
    config: Mapping[str, Any]


def _structure(
    found: Canonical, weights: Weights, texts: Mapping[str, memoryview], known: Known
) -> tuple[list[Finding], _Stated | None]:
    """Return in what the tensors are not what configuration and catalog say, and what these say."""
    if not found.family:
        text = "of an architecture that is not known here: not checked"
        return [Finding(_STRUCTURE, Severity.NOTE, text, unchecked=True)], None
    if known.family not in {None, found.family}:
        text = f"the tensors of {found.family}, where {known.family} should be"
        return [Finding(_STRUCTURE, Severity.ERROR, text)], None
    try:
        configs = {path: parsed(path, text) for path, text in configurations(texts, weights.name).items()}
        stated, findings = _stated(found, configs, known)
    except FormatError as error:
        return [Finding(_CONFIGURATION, Severity.ERROR, str(error))], None
    findings += structure.judge(found, found.family, stated.sizes)
    if stated.sizes.layers is not None:
        off = misprinted(known, structure.counts(found.family, stated.sizes))
        findings += [Finding(_STRUCTURE, Severity.NOTE, off)] if off else []
    return findings, stated


def _stated(found: Canonical, configs: Mapping[str, dict[str, Any]], known: Known) -> tuple[_Stated, list[Finding]]:
    """Return the sizes that the tensors must have, and what is to be said of those who state them.

    Raises:
        FormatError: A configuration is nonsense.
    """
    stated = dict(configs)
    if known.config:
        stated["the catalog"] = dict(known.config)
    if not stated:
        text = "no configuration: the sizes are those that the tensors show"
        note = Finding(_CONFIGURATION, Severity.NOTE, text, unchecked=True)
        return _Stated(Sizes.from_shapes(found, found.family), {}), [note]
    (first, config), *rest = stated.items()
    findings = [one for name, other in rest for one in contradictions(config, other, (first, name))]
    return _Stated(Sizes.of(config, found.family), config), findings


def _forward(found: Canonical, stated: _Stated, known: Known) -> Judged:
    """Run the model, and return what it says, and what is wrong with that."""
    from mirror.forward import checks
    from mirror.forward.arithmetic import stated_activation

    sizes, config = stated
    eps = config.get("layer_norm_eps", _EPS)
    return checks.judge(
        found.family,
        checks.miniature(sizes) if known.family == "bert" else sizes,
        found.tensors,
        activation=stated_activation(config, found.family),
        eps=eps if type(eps) is float and 0 < eps < 1 else _EPS,
    )
