"""Our forward pass against transformers' own: the same states and logits, to 1e-4, from the same weights.

Only where torch and transformers are installed (`make oracles`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from mirror.compare.families import ALIASES
from mirror.compare.names import CanonicalTensor, canonical
from mirror.compare.sizes import Sizes
from mirror.compare.structure import expected
from mirror.formats import safetensors
from mirror.forward.checks import top5
from mirror.forward.network import Outputs, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

#: As far as two libraries' sums may differ in single precision.
NEAR = 1e-4
HEADS = ("cls.", "predictions.", "sop_classifier.", "vocab_")
#: All of Google's 24 miniatures.
MINIATURES = [(layers, hidden) for layers in (2, 4, 6, 8, 10, 12) for hidden in (128, 256, 512, 768)]


class Case(NamedTuple):
    family: str
    #: The class of transformers that is built.
    built: str
    sizes: Sizes
    activation: str = "gelu"


class Input(NamedTuple):
    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    mask: NDArray[np.int64]


def bert(layers: int, hidden: int, vocab: int = 1000) -> Case:
    sizes = Sizes(layers, hidden, hidden // 64, hidden, 4 * hidden, vocab, 512, 2)
    return Case("bert", "BertForPreTraining", sizes)


def albert(layers: int, hidden: int, heads: int, activation: str, intermediate: int | None = None) -> Case:
    sizes = Sizes(layers, hidden, heads, 128, intermediate or 4 * hidden, 1000, 512, 2)
    return Case("albert", "AlbertForPreTraining", sizes, activation)


CASES = {
    **{f"bert L-{layers} H-{hidden}": bert(layers, hidden) for layers, hidden in MINIATURES},
    "bert tiny, whole vocabulary": bert(2, 128, 30522),
    "bert relu": bert(2, 128)._replace(activation="relu"),
    "bert gelu_new": bert(4, 256)._replace(activation="gelu_new"),
    "bert without heads": bert(2, 256)._replace(built="BertModel"),
    "bert 2 x 4": Case("bert", "BertForPreTraining", Sizes(2, 4, 4, 4, 16, 15, 128, 2)),
    "tinybert 4 x 312": Case("tinybert", "BertModel", Sizes(4, 312, 12, 312, 1200, 1000, 512, 2)),
    "tinybert 6 x 768": Case("tinybert", "BertModel", Sizes(6, 768, 12, 768, 3072, 1000, 512, 2)),
    "distilbert": Case("distilbert", "DistilBertForMaskedLM", Sizes(6, 768, 12, 768, 3072, 1000, 512, 0)),
    "distilbert 2 x 2": Case("distilbert", "DistilBertForMaskedLM", Sizes(2, 2, 2, 2, 8, 1000, 512, 0)),
    "albert base v1": albert(12, 768, 12, "gelu"),
    "albert base v2": albert(12, 768, 12, "gelu_new"),
    "albert large": albert(24, 1024, 16, "gelu_new"),
    "albert chinese tiny": albert(4, 312, 12, "gelu", 1248),
    "albert relu": albert(3, 256, 4, "relu"),
}


@pytest.fixture(scope="module")
def torch() -> Iterator[Any]:
    module = pytest.importorskip("torch", reason="torch is not installed")
    before = module.get_num_threads()
    module.set_num_threads(1)  # its threads wait for those of numpy, and the other way round
    yield module
    module.set_num_threads(before)


@pytest.fixture(scope="module")
def transformers(torch: Any) -> Any:
    return pytest.importorskip("transformers", reason="transformers is not installed")


def configuration(transformers: Any, case: Case) -> Any:
    sizes = case.sizes
    if case.family == "distilbert":
        return transformers.DistilBertConfig(
            vocab_size=sizes.vocab,
            dim=sizes.hidden,
            n_layers=sizes.layers,
            n_heads=sizes.heads,
            hidden_dim=sizes.intermediate,
            max_position_embeddings=sizes.positions,
            activation=case.activation,
        )
    more = {"embedding_size": sizes.embedding} if case.family == "albert" else {}
    made = transformers.AlbertConfig if case.family == "albert" else transformers.BertConfig
    return made(
        vocab_size=sizes.vocab,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.intermediate,
        hidden_act=case.activation,
        max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.types,
        layer_norm_eps=1e-12,
        **more,
    )


def weights(case: Case, spread: float) -> dict[str, CanonicalTensor]:
    """Return normally distributed weights; no bias is 0 and no norm is 1, so each of them counts."""
    groups = {"core", "pooler"} | ({"mlm", "nsp"} if "For" in case.built else set())
    random = np.random.default_rng(len(case.built) + (case.sizes.layers or 0) * case.sizes.hidden)
    found = {}
    for name, shape in expected(case.family, case.sizes, groups=groups).items():
        array = random.standard_normal(shape, np.float32) * np.float32(spread)
        array += np.float32(name.lower().endswith("norm.weight"))
        found[name] = CanonicalTensor(name, "F32", array, name)
    return found


def network(torch: Any, transformers: Any, case: Case, tensors: dict[str, CanonicalTensor]) -> Any:
    """Return transformers' model with our weights, every one of which it knows, and no other."""
    built = getattr(transformers, case.built)
    config = configuration(transformers, case)
    with torch.device("meta"):  # nothing is initialised: all is overwritten
        model = built(config)
    model = model.to_empty(device="cpu").eval()
    prefix = f"{model.base_model_prefix}." if "For" in case.built else ""
    state = {
        name if name.startswith(HEADS) else prefix + name: torch.from_numpy(one.array) for name, one in tensors.items()
    }
    said = model.load_state_dict(state, strict=False)
    assert not said.unexpected_keys
    assert set(said.missing_keys) <= ALIASES.keys()
    model.tie_weights()
    for name, buffer in model.named_buffers():  # on the meta device they had no numbers
        buffer.copy_(torch.arange(buffer.shape[-1]) if name.endswith("position_ids") else torch.zeros(()))
    return model


def inputs(sizes: Sizes, batch: int = 3, tokens: int = 16) -> Input:
    """Return rows with segments, one of which is padded at its end and one in its middle."""
    random = np.random.default_rng(7)
    mask = np.ones((batch, tokens), np.int64)
    mask[1, tokens // 2 :] = 0
    mask[2, 3:5] = 0
    ids = random.integers(0, sizes.vocab, (batch, tokens))
    return Input(ids, random.integers(0, max(1, sizes.types), (batch, tokens)), mask)


def theirs(torch: Any, model: Any, given: Input) -> dict[str, Any]:
    named = {"input_ids": given.ids, "attention_mask": given.mask, "token_type_ids": given.segments}
    if model.config.model_type == "distilbert":
        del named["token_type_ids"]
    with torch.no_grad():
        found = model(**{name: torch.from_numpy(array) for name, array in named.items()}, output_hidden_states=True)
    return {name: value for name, value in found.items() if value is not None}


def differences(ours: Outputs, found: dict[str, Any]) -> dict[str, float]:
    """Return how far our outputs are from theirs at most, by the name of each that they have."""
    pairs = {
        "last_hidden_state": ours.hidden[-1],
        "pooler_output": ours.pooled,
        "prediction_logits": ours.mlm,
        "logits": ours.mlm,
        "seq_relationship_logits": ours.nsp,
        "sop_logits": ours.nsp,
    }
    states = zip(ours.hidden, found["hidden_states"], strict=True)
    off = {"hidden_states": max(largest(one, other) for one, other in states)}
    return off | {name: largest(pairs[name], value) for name, value in found.items() if name != "hidden_states"}


def largest(one: Any, other: Any) -> float:
    assert one.shape == other.shape
    return float(np.abs(one - other.numpy()).max())


def compared(
    torch: Any, transformers: Any, case: Case, *, spread: float, activation: str | None = None
) -> dict[str, float]:
    """Return how far our outputs are from theirs, for an activation of our own if need be."""
    tensors, given = weights(case, spread), inputs(case.sizes)
    found = theirs(torch, network(torch, transformers, case, tensors), given)
    ours = run(case.family, case.sizes, tensors, *given, activation=activation or case.activation)
    return differences(ours, found)


@pytest.mark.parametrize("name", CASES)
def test_states_and_logits_are_those_of_transformers(
    torch: Any, transformers: Any, name: str, record_property: Any
) -> None:
    off = compared(torch, transformers, CASES[name], spread=0.02)
    record_property("differences", off)
    assert max(off.values()) <= NEAR, off


@pytest.mark.parametrize(
    "name", ["bert L-12 H-768", "bert L-2 H-128", "tinybert 4 x 312", "distilbert", "albert base v1"]
)
def test_weights_as_large_as_training_leaves_them_bring_them_no_further_apart(
    torch: Any, transformers: Any, name: str
) -> None:
    off = compared(torch, transformers, CASES[name], spread=0.06)
    assert max(off.values()) <= NEAR, off


def test_another_activation_would_be_seen(torch: Any, transformers: Any) -> None:
    off = compared(torch, transformers, CASES["albert base v1"], spread=0.06, activation="gelu_new")
    assert off["prediction_logits"] > NEAR, off


@pytest.mark.parametrize("name", ["bert L-2 H-128", "distilbert 2 x 2", "albert chinese tiny", "bert without heads"])
def test_what_transformers_saves_says_the_same_after_our_reading(
    torch: Any, transformers: Any, name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    model = network(torch, transformers, case, weights(case, 0.05))
    model.save_pretrained(tmp_path)
    held = canonical(safetensors.read((tmp_path / "model.safetensors").read_bytes()))
    config = json.loads((tmp_path / "config.json").read_bytes())
    given = inputs(case.sizes)
    ours = run(held.family, Sizes.of(config, held.family), held.tensors, *given, activation=case.activation)
    found = theirs(torch, model, given)
    assert max(differences(ours, found).values()) <= NEAR
    logits = found.get("prediction_logits", found.get("logits"))
    if logits is not None:
        best = torch.topk(logits[0, 4], 5)
        assert [word for word, _ in top5(ours, 4)] == best.indices.tolist()
        assert [value for _, value in top5(ours, 4)] == pytest.approx(best.values.tolist(), abs=NEAR)
