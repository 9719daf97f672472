"""A network in numpy: what must hold of its outputs does, and a broken model is found where that can be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from mirror.compare.finding import Severity
from mirror.compare.names import CanonicalTensor, canonical
from mirror.compare.sizes import Sizes
from mirror.errors import FormatError
from mirror.formats import tf_checkpoint
from mirror.forward import checks, network
from mirror.forward.arithmetic import ACTIVATIONS, gelu, gelu_new, softmax
from mirror.forward.checks import Answer, judge, miniature, moved, probe, top5
from mirror.forward.network import Outputs, run
from mirror.upstream.weights import Shape, TensorSpec, specs, values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

KERAS = Path(__file__).parents[1] / "data/tf/keras-bert/bert_model.ckpt"
FAMILIES = ("bert", "tinybert", "distilbert", "albert")
SHAPE = Shape(layers=2, hidden=24, heads=3, embedding=24, intermediate=40, vocab_size=99, max_position=20, teacher=36)
LAYER = {
    "bert": "encoder.layer.0.attention.self.{}",
    "tinybert": "encoder.layer.0.attention.self.{}",
    "distilbert": "transformer.layer.0.attention.{}",
    "albert": "encoder.albert_layer_groups.0.albert_layers.0.attention.{}",
}
QUERY_AND_KEY = {"distilbert": ("q_lin", "k_lin")}


class Model(NamedTuple):
    family: str
    sizes: Sizes
    tensors: dict[str, CanonicalTensor]

    def run(self, ids: Any, **more: Any) -> Outputs:
        return run(*self, np.array(ids), **more)

    def said(self, **more: Any) -> list[str]:
        return [str(one).removeprefix("forward: ") for one in judge(*self, **more).findings]

    def answer(self, **more: Any) -> Answer:
        answer = judge(*self, **more).answer
        assert answer is not None
        return answer

    def changed(self, name: str, change: Callable[[NDArray[Any]], NDArray[Any]], dtype: str = "F32") -> Model:
        """Return a model whose tensors of that name, or end of one, are others."""
        names = [each for each in self.tensors if each.endswith(name)]
        assert names
        others = {each: CanonicalTensor(each, dtype, change(self.tensors[each].array), each) for each in names}
        return self._replace(tensors=self.tensors | others)

    def without(self, *prefixes: str) -> Model:
        return self._replace(tensors={name: one for name, one in self.tensors.items() if not name.startswith(prefixes)})

    def stored(self, dtype: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Model:
        return self.changed("", change, dtype)


def sizes_of(shape: Shape, family: str) -> Sizes:
    return Sizes(
        shape.layers,
        shape.hidden,
        shape.heads,
        shape.embedding,
        shape.intermediate,
        shape.vocab_size,
        shape.max_position,
        0 if family == "distilbert" else shape.type_vocab_size,
        shape.teacher if family == "tinybert" else None,
    )


def seeded(family: str, **other: int) -> Model:
    if family == "albert":
        other = {"embedding": 10} | other
    shape = Shape(**{field: other.get(field, getattr(SHAPE, field)) for field in Shape.__slots__})
    # A head for words and for the next sentence is what Paddle's TinyBERT comes with too.
    every = {
        spec.name: spec
        for architecture in {family, "bert" if family == "tinybert" else family}
        for spec in specs(architecture, shape)
    }
    tensors = {name: tensor(spec) for name, spec in every.items()}
    return Model(family, sizes_of(shape, family), tensors)


def tensor(spec: TensorSpec) -> CanonicalTensor:
    array = values(spec, seed=1, model="forward")
    # Wider than as initialised, so that attention does look somewhere.
    return CanonicalTensor(spec.name, "F32", array if array.mean() > 0.5 else array * np.float32(5), spec.name)


def largest(one: NDArray[Any] | None, other: NDArray[Any] | None) -> float:
    assert one is not None
    assert other is not None
    return float(np.abs(one - other).max())


def bits_of_bfloat16(array: NDArray[Any]) -> NDArray[Any]:
    return (array.view(np.uint32) >> np.uint32(16)).astype(np.uint16)


# --- the arithmetic ----------------------------------------------------------------------


def test_the_error_function_is_near_enough_to_the_exact_one() -> None:
    x = np.linspace(-12, 12, 20_001, dtype=np.float32)
    exact = np.array([0.5 * float(each) * math.erfc(-float(each) / math.sqrt(2)) for each in x])
    assert np.abs(gelu(x) - exact).max() < 5e-7
    assert 4e-4 < np.abs(gelu_new(x) - exact).max() < 5e-4


def test_activations_take_what_is_far_out() -> None:
    x = np.array([-3e38, -1e4, 0, 1e4, 3e38], np.float32)
    with np.errstate(all="ignore"):
        for activation in ACTIVATIONS.values():
            assert activation(x)[:4].tolist() == [0, 0, 0, 1e4]


# --- the pass ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_have_the_shapes_of_the_input(family: str) -> None:
    model = seeded(family)
    found = model.run([[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]])
    assert [states.shape for states in found.hidden] == [(2, 5, 24)] * 3
    assert found.mlm is not None
    assert found.mlm.shape == (2, 5, 99)
    if family == "distilbert":
        assert found.pooled is None
        assert found.nsp is None
    else:
        assert found.pooled is not None
        assert found.nsp is not None
        assert (found.pooled.shape, found.nsp.shape) == ((2, 24), (2, 2))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_by_hand_says_the_same(family: str) -> None:
    """Each number of it, from the formulas, one token and one head at a time, in double precision."""
    model = seeded(family)
    ids, segments = [3, 50, 97, 11], [0, 0, 1, 1] if family != "distilbert" else [0] * 4
    found = model.run([ids], segments=np.array([segments]))
    assert np.abs(found.hidden[-1][0] - by_hand(model, ids, segments)).max() < 1e-5


def by_hand(model: Model, ids: list[int], segments: list[int]) -> NDArray[np.float64]:
    get = {name: one.array.astype(np.float64) for name, one in model.tensors.items()}
    rename = {
        "distilbert": (
            "transformer.layer.{}.",
            "attention.q_lin",
            "attention.k_lin",
            "attention.v_lin",
            "attention.out_lin",
            "sa_layer_norm",
            "ffn.lin1",
            "ffn.lin2",
            "output_layer_norm",
        ),
        "albert": (
            "encoder.albert_layer_groups.0.albert_layers.0.",
            "attention.query",
            "attention.key",
            "attention.value",
            "attention.dense",
            "attention.LayerNorm",
            "ffn",
            "ffn_output",
            "full_layer_layer_norm",
        ),
    }.get(
        model.family,
        (
            "encoder.layer.{}.",
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "attention.output.LayerNorm",
            "intermediate.dense",
            "output.dense",
            "output.LayerNorm",
        ),
    )

    def linear(x: Any, name: str) -> Any:
        return get[f"{name}.weight"] @ x + get[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        return (x - x.mean()) / math.sqrt(x.var() + 1e-12) * get[f"{name}.weight"] + get[f"{name}.bias"]

    states = []
    for place, (word, segment) in enumerate(zip(ids, segments, strict=True)):
        x = get["embeddings.word_embeddings.weight"][word] + get["embeddings.position_embeddings.weight"][place]
        if model.family != "distilbert":
            x = x + get["embeddings.token_type_embeddings.weight"][segment]
        x = norm(x, "embeddings.LayerNorm")
        states.append(linear(x, "encoder.embedding_hidden_mapping_in") if model.family == "albert" else x)
    for number in range(2):
        q, k, v, o, norm1, inner, outer, norm2 = (rename[0].format(number) + part for part in rename[1:])
        after = []
        for x in states:
            mixed = []
            for head in (slice(0, 8), slice(8, 16), slice(16, 24)):
                query = linear(x, q)[head]
                scores = [math.exp(query @ linear(other, k)[head] / math.sqrt(8)) for other in states]
                shares = [score / sum(scores) for score in scores]
                mixed.append(sum(s * linear(other, v)[head] for s, other in zip(shares, states, strict=True)))
            x = norm(x + linear(np.concatenate(mixed), o), norm1)
            y = [0.5 * each * (1 + math.erf(each / math.sqrt(2))) for each in linear(x, inner)]
            after.append(norm(x + linear(np.array(y), outer), norm2))
        states = after
    return np.array(states)


def test_the_word_table_is_the_decoder() -> None:
    model = seeded("bert")
    words = model.changed("word_embeddings.weight", lambda array: np.concatenate([array[:90], 2 * array[90:]]))
    before, after = model.run([[1, 2]]).mlm, words.run([[1, 2]]).mlm
    assert before is not None
    assert after is not None
    assert np.array_equal(before[..., :90], after[..., :90])
    bias = model.tensors["cls.predictions.bias"].array[90:]
    assert np.allclose(2 * (before[..., 90:] - bias), after[..., 90:] - bias, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "decoder"),
    [("bert", "cls.predictions.decoder"), ("distilbert", "vocab_projector"), ("albert", "predictions.decoder")],
)
def test_a_decoder_of_its_own_is_used_in_the_place_of_the_word_table(family: str, decoder: str) -> None:
    model = seeded(family)
    table = model.tensors["embeddings.word_embeddings.weight"]
    own = model._replace(tensors=model.tensors | {f"{decoder}.weight": table._replace(array=-table.array)})
    (bias,) = (
        name for name in model.tensors if name in {"cls.predictions.bias", "predictions.bias", "vocab_projector.bias"}
    )
    before, after = model.run([[1, 2]]).mlm, own.run([[1, 2]]).mlm
    assert before is not None
    assert after is not None
    shift = model.tensors[bias].array
    assert np.allclose(before - shift, shift - after, atol=1e-5)
    if family != "distilbert":
        biased = own._replace(tensors=own.tensors | {f"{decoder}.bias": model.tensors[bias]._replace(array=shift + 1)})
        assert largest(biased.run([[1, 2]]).mlm, after + 1) < 1e-5
    short = own._replace(tensors=own.tensors | {f"{decoder}.weight": table._replace(array=table.array[1:])})
    width = table.shape[1]
    assert short.said() == [
        f"error: {decoder}.weight: could not be run: shape [98, {width}], where [99, {width}] should be"
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_file_does_not_hold_has_no_output(family: str) -> None:
    prefixes = ("cls.", "predictions.", "vocab_", "sop_classifier.", "fit_")
    found = seeded(family).without(*prefixes).run([[1, 2]])
    assert found.mlm is None
    assert found.nsp is None
    assert (found.pooled is None) == (family == "distilbert")
    assert seeded(family).without(*prefixes, "pooler.", "pooler").run([[1, 2]]).pooled is None


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_is_computed_in_single(family: str) -> None:
    model = seeded(family)
    half = model.stored("F16", lambda array: array.astype(np.float16))
    brain = model.stored("BF16", bits_of_bfloat16)
    rounded = model.stored("F32", lambda array: array.astype(np.float16).astype(np.float32))
    cut = model.stored("F32", lambda array: (bits_of_bfloat16(array).astype(np.uint32) << 16).view(np.float32))
    double = model.stored("F64", lambda array: array.astype(np.float64))
    ids = probe(model.sizes)
    for one, other in ((half, rounded), (brain, cut), (double, model)):
        found = one.run(ids)
        assert {states.dtype for states in found.hidden} == {np.dtype(np.float32)}
        assert largest(found.hidden[-1], other.run(ids).hidden[-1]) < 1e-5
        assert largest(found.mlm, other.run(ids).mlm) < 1e-5


def test_large_weights_of_half_precision_are_taken_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    model = seeded("bert").stored("F16", lambda array: array.astype(np.float16))
    whole = model.run([[1, 2, 3]]).mlm
    monkeypatch.setattr("mirror.forward.network._PIECE", 24 * 7)
    assert largest(whole, model.run([[1, 2, 3]]).mlm) < 1e-6


def test_weights_seen_transposed_count_as_they_are_seen() -> None:
    model = seeded("bert")
    turned = model.changed(".weight", lambda array: np.ascontiguousarray(array.T).T)
    assert largest(model.run([[1, 2, 3]]).mlm, turned.run([[1, 2, 3]]).mlm) < 1e-5


def test_weights_at_an_odd_place_of_a_file_are_taken_too() -> None:
    def moved(array: NDArray[Any]) -> NDArray[Any]:
        return np.frombuffer(b"_" + array.tobytes(), np.uint8)[1:].view(np.float32).reshape(array.shape)

    model = seeded("bert")
    odd = model.stored("F32", moved)
    assert not odd.tensors["pooler.dense.weight"].array.flags.aligned
    assert largest(model.run([[1, 2, 3]]).mlm, odd.run([[1, 2, 3]]).mlm) < 1e-6


def test_padding_is_not_seen_wherever_it_is() -> None:
    model = seeded("bert")
    one = model.run([[5, 6, 7, 8]], mask=np.array([[1, 0, 1, 1]])).hidden[-1]
    other = model.run([[5, 60, 7, 8]], mask=np.array([[1, 0, 1, 1]])).hidden[-1]
    assert largest(one[:, [0, 2, 3]], other[:, [0, 2, 3]]) < 1e-6
    assert largest(one, model.run([[5, 6, 7, 8]]).hidden[-1]) > 1e-3


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_any_tensor_that_is_missing_is_named(family: str) -> None:
    model = seeded(family)
    for name in model.tensors:
        if name.startswith("fit_"):
            continue  # they are the teacher's, and no part of the pass
        less = model._replace(tensors={each: one for each, one in model.tensors.items() if each != name})
        with pytest.raises(FormatError) as caught:
            less.run([[1, 2]])
        assert caught.value.tensor == name
        assert less.said() == [f"error: {name}: could not be run: missing"]


def test_another_shape_or_dtype_is_refused() -> None:
    model = seeded("bert")
    shorter = model.changed("layer.1.output.dense.weight", lambda array: array[:, :-1])
    assert shorter.said() == [
        "error: encoder.layer.1.output.dense.weight: could not be run: shape [24, 39], where [24, 40] should be"
    ]
    whole = model.changed("pooler.dense.bias", lambda array: array.astype(np.int64), "I64")
    assert whole.said() == [
        "error: pooler.dense.bias: could not be run: dtype I64, where numbers with a fraction should be"
    ]


@pytest.mark.parametrize(
    ("sizes", "settings"),
    [
        ({"layers": None}, {}),
        ({"heads": None}, {}),
        ({"heads": 0}, {}),
        ({"heads": 5}, {}),
        ({}, {"activation": "swish"}),
        ({}, {"eps": math.nan}),
        ({}, {"eps": -1.0}),
        ({}, {"eps": math.inf}),
    ],
)
def test_what_no_pass_is_made_of_is_refused(sizes: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    model = seeded("bert")
    with pytest.raises(FormatError):
        model._replace(sizes=model.sizes._replace(**sizes)).run([[1]], **settings)


@pytest.mark.parametrize(
    ("ids", "more"),
    [
        ([1, 2], {}),
        (np.empty((0, 3), np.int64), {}),
        ([[1, 99]], {}),
        ([[1, -1]], {}),
        ([[1.0, 2.0]], {}),
        ([[1] * 21], {}),
        ([[1, 2]], {"segments": np.array([[0, 2]])}),
        ([[1, 2]], {"segments": np.array([[0]])}),
        ([[1, 2]], {"mask": np.array([[1]])}),
        ([[1, 2], [3, 4]], {"mask": np.array([[1, 1], [0, 0]])}),
    ],
)
def test_an_input_that_no_model_takes_is_our_own_mistake(ids: Any, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"ids|numbers|tokens|row"):
        seeded("bert").run(ids, **more)


def test_a_family_without_segments_takes_only_the_first() -> None:
    with pytest.raises(ValueError, match="numbers"):
        seeded("distilbert").run([[1, 2]], segments=np.array([[0, 1]]))


# --- what must hold ----------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nothing_is_found_in_a_good_model(family: str, activation: str) -> None:
    assert seeded(family).said(activation=activation) == []


def test_nothing_is_found_in_a_checkpoint_of_googles_own_code() -> None:
    found = canonical(
        tf_checkpoint.read(
            KERAS.with_suffix(".ckpt.index").read_bytes(), [KERAS.with_suffix(".ckpt.data-00000-of-00001").read_bytes()]
        )
    )
    sizes = Sizes.from_shapes(found, "bert")._replace(heads=4)
    assert judge("bert", sizes, found.tensors).findings == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_number_that_is_none_is_found_where_it_comes_out(family: str) -> None:
    def spoilt(array: NDArray[Any]) -> NDArray[Any]:
        array = array.copy()
        array.flat[array.size // 2] = np.nan
        return array

    model = seeded(family)
    table = model.changed("position_embeddings.weight", lambda array: np.full_like(array, np.inf))
    assert table.said() == ["error: the output of the embeddings is not finite"]
    layer = LAYER[family].format(QUERY_AND_KEY.get(family, ("query", "key"))[1])
    assert model.changed(f"{layer}.weight", spoilt).said() == ["error: the output of layer 1 is not finite"]
    bias = {"distilbert": "vocab_projector.bias", "albert": "predictions.bias"}.get(family, "cls.predictions.bias")
    assert model.changed(bias, spoilt).said() == ["error: the output of mlm is not finite"]


def test_numbers_whose_products_overflow_are_found_without_a_warning() -> None:
    model = seeded("bert").changed("1.intermediate.dense.weight", lambda array: np.sign(array) * np.float32(3e38))
    assert model.said() == ["error: the output of layer 2 is not finite"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_positions_that_are_all_the_same_are_found(family: str, value: float) -> None:
    model = seeded(family).changed("position_embeddings.weight", lambda array: np.full_like(array, value))
    assert model.said() == ["error: the order of tokens changes nothing"]


@pytest.mark.parametrize("family", ["bert", "tinybert", "albert"])
def test_segments_that_are_all_the_same_are_found(family: str) -> None:
    model = seeded(family).changed("token_type_embeddings.weight", lambda array: np.stack([array[0]] * len(array)))
    assert model.said() == ["error: the segment changes nothing"]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_attention_that_sees_nothing_is_found(family: str) -> None:
    name = {"bert": "attention.output.dense", "tinybert": "attention.output.dense", "distilbert": "out_lin"}
    model = seeded(family).changed(f"{name.get(family, 'attention.dense')}.weight", np.zeros_like)
    assert model.said() == ["error: the other tokens change nothing about the first"]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_exchange_is_told_by_the_answer_alone(family: str) -> None:
    model = seeded(family)
    query, key = (LAYER[family].format(part) for part in QUERY_AND_KEY.get(family, ("query", "key")))
    exchanged = dict(model.tensors)
    for part in ("weight", "bias"):
        one, other = f"{query}.{part}", f"{key}.{part}"
        exchanged |= {one: model.tensors[other], other: model.tensors[one]}
    words = np.random.default_rng(0).permutation(99)
    for broken in (
        model._replace(tensors=exchanged),
        model.changed("word_embeddings.weight", lambda array: array[words]),
        model.changed("position_embeddings.weight", lambda array: array[::-1]),
    ):
        assert broken.said() == []
        found = moved(model.answer().top, broken.answer().top)
        assert found
        assert all(one.severity is Severity.ERROR for one in found)


def test_a_pass_that_heeds_no_mask_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "run", lambda *of, mask=None, **more: run(*of, **more))
    found = seeded("bert").said()
    assert [one.rpartition(" ")[0] for one in found] == [
        f"error: padding changes the output of {name} by" for name in ("hidden", "pooler", "mlm", "nsp")
    ]


def test_probabilities_that_do_not_sum_to_1_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "softmax", lambda scores: softmax(scores) * np.float32(1.001))
    monkeypatch.setattr(checks, "softmax", lambda scores: softmax(scores) * np.float32(0.999))
    assert seeded("bert").said() == [
        "error: a row of attention is off its sum of 1 by 1.0e-03",
        "error: the probabilities of mlm do not sum to 1",
        "error: the probabilities of nsp do not sum to 1",
    ]


def test_a_norm_over_two_numbers_cannot_tell_places_and_says_so() -> None:
    note = "note: not checked whether places and segments matter: too few numbers to tell"
    assert seeded("distilbert", hidden=2, embedding=2, heads=2).said() == [note]
    assert seeded("albert", embedding=2).said() == [note]


@pytest.mark.parametrize("positions", [1, 2, 3])
def test_a_model_of_few_positions_is_checked_as_far_as_it_goes(positions: int) -> None:
    notes = ["note: not checked whether places and segments matter: too few numbers to tell"]
    if positions == 1:
        notes.insert(0, "note: padding not checked: no position is free")
    assert seeded("bert", max_position=positions).said() == notes


@pytest.mark.parametrize("words", [1, 2, 5])
def test_a_model_of_few_words_is_checked_too(words: int) -> None:
    assert seeded("bert", vocab_size=words).said() == []


def test_a_model_of_one_segment_has_none_to_change() -> None:
    assert seeded("bert", type_vocab_size=1).said() == []


# --- what cannot be checked --------------------------------------------------------------


def test_heads_are_derived_only_for_the_miniatures() -> None:
    model = seeded("bert")
    unknown = model._replace(sizes=model.sizes._replace(heads=None))
    assert unknown.said() == ["note: not checked: the number of heads is not known"]
    assert miniature(unknown.sizes).heads is None  # 24 is no multiple of 64
    assert miniature(model.sizes).heads == 3
    assert miniature(model.sizes._replace(hidden=768, heads=None)).heads == 12


def test_what_cannot_be_run_is_said_to_be_unchecked() -> None:
    model = seeded("albert")
    layers = model._replace(sizes=model.sizes._replace(layers=None))
    assert layers.said() == ["note: not checked: the number of layers is not known"]
    assert model.said(activation="swish\n") == ["note: not checked: an activation that is not known here: 'swish\\n'"]
    assert model.said(eps=0.0) == ["error: could not be run: norms with an epsilon of 0.0"]


@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 1024, "hidden": 4096, "intermediate": 16384, "heads": 64},
        {"layers": 1024, "hidden": 512},
        {"vocab": 1 << 24},
        {"intermediate": 1 << 20},
    ],
)
def test_a_small_file_cannot_ask_for_days_or_for_all_memory(sizes: dict[str, int]) -> None:
    model = seeded("albert")
    model = model._replace(sizes=model.sizes._replace(**sizes))
    assert model.said() == ["note: not checked: larger than any model that is known"]


def test_the_largest_models_that_are_known_are_checked() -> None:
    for sizes in (
        Sizes(12, 4096, 64, 128, 16384, 30000, 512, 2),  # ALBERT-xxlarge
        Sizes(24, 2048, 16, 128, 8192, 30000, 512, 2),  # ALBERT-xlarge
        Sizes(6, 768, 12, 768, 3072, 119_547, 512, 0),  # multilingual DistilBERT
        Sizes(24, 1024, 16, 1024, 4096, 30522, 512, 2),  # BERT-Large
    ):
        family = "distilbert" if not sizes.types else "albert" if sizes.embedding < sizes.hidden else "bert"
        assert [one.text for one in judge(family, sizes, {}).findings] == ["could not be run: missing"]


# --- the probe, and what was recorded ----------------------------------------------------


def test_the_probe_stays_what_it_is() -> None:
    sizes = seeded("bert").sizes._replace(vocab=30522, positions=512)
    assert probe(sizes).tolist() == [[1695, 5087, 8478, 11869, 15261, 18652, 22043, 25435, 28826]]
    assert probe(sizes._replace(vocab=1, positions=1)).tolist() == [[0]]


def test_the_five_first_words_come_in_their_order() -> None:
    mlm = np.array([[[0, 3, 1, 3, -1, 2, 7]]], np.float32)
    outputs = Outputs((), None, mlm, None, 0.0)
    assert top5(outputs, 0) == ((6, 7.0), (1, 3.0), (3, 3.0), (5, 2.0), (2, 1.0))
    with pytest.raises(ValueError, match="without the head"):
        top5(outputs._replace(mlm=None), 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_says_the_same_again_and_with_what_it_was_asked(family: str) -> None:
    model = seeded(family)
    for activation in ACTIVATIONS:
        answer = model.answer(activation=activation)
        assert answer[:5] == (tuple(probe(model.sizes)[0]), 4, 3, activation, 1e-12)
        assert answer.top == top5(model.run([answer.ids], activation=activation), 4)
        assert moved(answer.top, model.answer(activation=activation).top) == ()
    assert moved(model.answer().top, model.answer(activation="relu").top) != ()


def test_a_logit_that_moved_is_named_and_so_is_a_word() -> None:
    before = ((9, 5.0), (7, 4.0), (3, 3.0), (2, 2.0), (8, 1.0))
    near = ((7, 4.00009), (9, 4.99991), (3, 3.0), (2, 2.0), (1, 1.00009))
    assert moved(before, near) == ()  # 8, with 1.0, may well stand right behind 1
    far = ((9, 5.0002), *before[1:])
    assert [one.text for one in moved(before, far)] == ["the logit of word 9 is 5.00020, where 5.00000 was recorded"]
    other = (*before[:4], (1, 1.5))
    assert [one.text for one in moved(before, other)] == [
        "word 1 is one of the first words, and was not recorded as one"
    ]
    lower = (*before[1:], (1, 0.5))
    assert [one.text for one in moved(before, lower)] == [
        "word 9 was recorded among the first words, and is none of them"
    ]
    assert all(one.severity is Severity.ERROR for one in moved(before, lower))


def test_an_answer_that_is_no_number_is_none_that_was_recorded() -> None:
    before = ((9, 5.0), (7, 4.0))
    assert len(moved(before, ((9, math.nan), (7, math.nan)))) == 2
    assert len(moved(before, ((1, math.nan), (2, math.nan)))) == 4


def test_who_says_no_words_or_cannot_be_run_has_no_answer() -> None:
    model = seeded("bert")
    for other in (
        model.without("cls.predictions."),
        model._replace(sizes=model.sizes._replace(heads=None)),
        model.without("pooler.dense.bias"),
        model.changed("cls.predictions.bias", lambda array: np.full_like(array, np.nan)),
    ):
        assert judge(*other).answer is None
