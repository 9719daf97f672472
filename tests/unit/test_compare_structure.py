"""What a configuration leads one to expect: the published counts, and every way to miss them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.compare.digest import GROUPS
from mirror.compare.families import FAMILIES, FINE_TUNED
from mirror.compare.names import Canonical, CanonicalTensor, canonical
from mirror.compare.sizes import Sizes
from mirror.compare.structure import counts, expected, judge, tensor_counts
from mirror.errors import FormatError
from mirror.formats import tf_checkpoint
from mirror.formats.checkpoint import Checkpoint, Tensor
from mirror.formats.tf_index import read_index
from mirror.upstream import naming, weights
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parents[1] / "data"
MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}
FAMILY_OF = {"bert-miniature": "bert"}
SMALL = Sizes(layers=2, hidden=8, heads=2, embedding=8, intermediate=12, vocab=20, positions=9, types=2)
NARROW = SMALL._replace(embedding=4)


def sizes_of(model: str) -> Sizes:
    known = MODELS[model]["shape"]
    return Sizes(
        layers=known["layers"],
        hidden=known["hidden"],
        heads=known["heads"],
        embedding=known["embedding"],
        intermediate=known["intermediate"],
        vocab=known["vocab_size"],
        positions=known["max_position"],
        types=known["type_vocab_size"] or 0,
    )


def family_of(model: str) -> str:
    family: str = MODELS[model]["family"]
    return FAMILY_OF.get(family, family)


def whole(family: str, sizes: Sizes, **changed: Any) -> Canonical:
    """Return a model of zeros; ``changed`` has other shapes, ``__`` for a dot, and None for what is not there."""
    shapes = {**expected(family, sizes), **{name.replace("__", "."): shape for name, shape in changed.items()}}
    return Canonical(
        family,
        {
            name: CanonicalTensor(name, "F32", np.zeros(shape, "f4"), name)
            for name, shape in shapes.items()
            if shape is not None
        },
    )


def said(found: Canonical, sizes: Sizes = SMALL) -> list[str]:
    return [f"{one.severity}: {one.tensor}: {one.text}" for one in judge(found, found.family, sizes)]


#: Parameters without heads and with those of pre-training, decoder tied, as they were counted by hand.
MINIATURES = {
    (2, 128): (4_385_920, 4_433_468),
    (2, 256): (9_591_040, 9_688_380),
    (2, 512): (22_458_880, 22_754_108),
    (2, 768): (38_603_520, 39_227_708),
    (4, 128): (4_782_464, 4_830_012),
    (4, 256): (11_170_560, 11_267_900),
    (4, 512): (28_763_648, 29_058_876),
    (4, 768): (52_779_264, 53_403_452),
    (6, 128): (5_179_008, 5_226_556),
    (6, 256): (12_750_080, 12_847_420),
    (6, 512): (35_068_416, 35_363_644),
    (6, 768): (66_955_008, 67_579_196),
    (8, 128): (5_575_552, 5_623_100),
    (8, 256): (14_329_600, 14_426_940),
    (8, 512): (41_373_184, 41_668_412),
    (8, 768): (81_130_752, 81_754_940),
    (10, 128): (5_972_096, 6_019_644),
    (10, 256): (15_909_120, 16_006_460),
    (10, 512): (47_677_952, 47_973_180),
    (10, 768): (95_306_496, 95_930_684),
    (12, 128): (6_368_640, 6_416_188),
    (12, 256): (17_488_640, 17_585_980),
    (12, 512): (53_982_720, 54_277_948),
    (12, 768): (109_482_240, 110_106_428),
}
PADDLE = {
    "tinybert-4l-312d": (14_350_248, 14_479_676),
    "tinybert-4l-312d-v2": (14_350_248, 14_479_676),
    "tinybert-6l-768d": (66_955_008, 67_579_196),
    "tinybert-6l-768d-v2": (66_955_008, 67_579_196),
    "tinybert-4l-312d-zh": (11_419_320, 11_539_354),
    "tinybert-6l-768d-zh": (59_740_416, 60_355_210),
    "distilbert-base-uncased": (66_362_880, 66_985_530),
    "distilbert-base-cased": (65_190_912, 65_812_036),
    "renmada/distilbert-base-multilingual-cased": (134_734_080, 135_445_755),
    "albert-base-v1": (11_683_584, 11_813_810),
    "albert-large-v1": (17_683_968, 17_847_474),
    "albert-xlarge-v1": (58_724_864, 59_021_490),
    "albert-xxlarge-v1": (222_595_584, 223_158_450),
    "albert-base-v2": (11_683_584, 11_813_810),
    "albert-large-v2": (17_683_968, 17_847_474),
    "albert-xlarge-v2": (58_724_864, 59_021_490),
    "albert-xxlarge-v2": (222_595_584, 223_158_450),
    "albert-chinese-tiny": (4_080_520, 4_142_594),
    "albert-chinese-small": (4_742_272, 4_813_706),
    "albert-chinese-base": (10_547_968, 10_669_322),
    "albert-chinese-large": (16_548_352, 16_702_986),
    "albert-chinese-xlarge": (57_589_248, 57_877_002),
    "albert-chinese-xxlarge": (221_459_968, 222_013_962),
}
COUNTED = {f"bert_uncased_L-{n}_H-{h}_A-{h // 64}": each for (n, h), each in MINIATURES.items()} | PADDLE


def test_every_model_of_known_sizes_is_counted() -> None:
    assert COUNTED.keys() == {name for name, entry in MODELS.items() if entry["shape"]["vocab_size"]}


@pytest.mark.parametrize("model", COUNTED)
def test_the_published_sizes_give_the_counts(model: str) -> None:
    family, sizes = family_of(model), sizes_of(model)
    assert tuple(counts(family, sizes).values()) == COUNTED[model]
    computed = MODELS[model]["parameters"]["computed"]
    assert counts(family, sizes)["model"] in computed.values()
    if family == "bert":
        assert len(expected(family, sizes)) == 16 * known_layers(sizes) + 14


@pytest.mark.parametrize("family", FAMILIES)
def test_tensors_are_counted_as_parameters_are(family: str) -> None:
    named = {"model": {"core", "pooler"}, "full": {"core", "pooler", "mlm", "nsp"}}
    names = {count: len(expected(family, NARROW, groups=groups)) for count, groups in named.items()}
    assert tensor_counts(family, NARROW.layers) == names
    # No names are made for it: a number of layers that makes no sense costs nothing.
    assert tensor_counts(family, 10**12)["model"] >= names["model"]


def test_the_true_index_of_bert_mini_has_as_many_tensors_as_are_counted() -> None:
    index = read_index((DATA / "bert-mini/bert_model.ckpt.index").read_bytes())
    assert tensor_counts("bert", 4) == {"model": 5 + 4 * 16 + 2, "full": len(index.entries)}


def known_layers(sizes: Sizes) -> int:
    assert sizes.layers is not None
    return sizes.layers


@pytest.mark.parametrize(
    ("model", "elements"),
    [("tinybert-4l-312d", 15_792_552), ("tinybert-6l-768d", 71_679_744), ("tinybert-4l-312d-zh", 12_861_624)],
)
def test_distillation_layers_lead_to_a_teacher_of_768(model: str, elements: int) -> None:
    found = expected("tinybert", sizes_of(model), groups={"core", "pooler", "fit"})
    assert sum(int(np.prod(shape)) for shape in found.values()) == elements


@pytest.mark.parametrize("architecture", weights.ARCHITECTURES)
def test_names_and_shapes_are_those_that_the_demo_states_by_itself(architecture: str) -> None:
    family = architecture.partition("-")[0]
    shape = weights.Shape(2, 8, 2, 4 if family == "albert" else 8, 12, 20, 9, teacher=6)
    stated = {spec.name: spec.shape for spec in weights.specs(architecture, shape)}
    found = expected(family, (NARROW if family == "albert" else SMALL)._replace(teacher=6))
    if architecture in FAMILIES and architecture != "tinybert":
        assert found == stated
    # The demo's TinyBERT has no heads, and its fine-tuned DistilBERT others.
    assert {name: dims for name, dims in stated.items() if name not in FINE_TUNED}.items() <= found.items()


@pytest.mark.parametrize("model", MODELS)
def test_every_file_of_the_demo_is_what_its_configuration_says(model: str) -> None:
    files = ModelFiles.of(MODELS[model], seed=0, scale=64)
    family = family_of(model)
    configs = [json.loads(files.config_json()), json.loads(files.model_config_json()), files.configuration()]
    sizes = {Sizes.of(config, family) for config in configs}
    assert len(sizes) == 1
    for container, names in (("torch-zip", naming.hugging_face), ("paddle", naming.paddle)):
        tensors = tuple(
            Tensor(one.name, "F32", np.zeros(one.spec.shape[::-1] if one.transposed else one.spec.shape, "f4"))
            for one in names(files.architecture, files.specs)
        )
        held = canonical(Checkpoint(container, tensors), family)
        assert [one for one in judge(held, family, *sizes) if one.severity != "note"] == []
        shown, stated = Sizes.from_shapes(held, family), next(iter(sizes))
        layers = None if family == "albert" else stated.layers
        assert shown._replace(teacher=None) == stated._replace(heads=None, layers=layers)


def test_googles_mini_is_exactly_what_its_own_configuration_says() -> None:
    index = read_index((DATA / "bert-mini/bert_model.ckpt.index").read_bytes())
    tensors = tuple(Tensor(one.name, one.dtype, np.zeros(one.shape, "f4")) for one in index.entries)
    found = canonical(Checkpoint("tensorflow", tensors))
    sizes = Sizes.of(json.loads((DATA / "bert-mini/bert_config.json").read_bytes()), "bert")
    assert (found.family, found.unknown, len(found.tensors)) == ("bert", (), 78)
    assert judge(found, "bert", sizes) == ()
    assert Sizes.from_shapes(found, "bert") == sizes._replace(heads=None)


def test_a_real_training_checkpoint_is_exactly_what_its_configuration_says() -> None:
    folder = DATA / "tf/keras-bert"
    index, data = (folder / f"bert_model.ckpt.{end}" for end in ("index", "data-00000-of-00001"))
    found = canonical(tf_checkpoint.read(index.read_bytes(), [data.read_bytes()]))
    sizes = Sizes.of(json.loads((folder / "bert_config.json").read_bytes()), "bert")
    assert judge(found, found.family, sizes) == ()
    assert found.unknown == ()


def test_hubs_own_configurations() -> None:
    tiny = Sizes.of(json.loads((DATA / "bert-tiny/config.json").read_bytes()), "bert")
    assert tiny == sizes_of("bert_uncased_L-2_H-128_A-2")
    distilled = Sizes.of(json.loads((DATA / "distilbert/config.json").read_bytes()), "distilbert")
    assert distilled == sizes_of("distilbert-base-uncased")._replace(types=0)


CONFIG: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "vocab_size": 20,
    "max_position_embeddings": 9,
    "type_vocab_size": 2,
}


def test_sizes_inside_init_args_count_and_those_outside_go_before() -> None:
    nested = {"init_args": [7, {"init_args": [CONFIG], "vocab_size": 21}], "init_class": "BertForPretraining"}
    assert Sizes.of(nested, "bert") == SMALL._replace(vocab=21)
    assert Sizes.of({**nested, "vocab_size": 22}, "bert") == SMALL._replace(vocab=22)


def test_a_family_reads_only_what_it_has() -> None:
    assert Sizes.of({**CONFIG, "embedding_size": 4}, "bert") == SMALL
    assert Sizes.of({**CONFIG, "embedding_size": 4, "num_hidden_groups": 1}, "albert") == NARROW
    assert Sizes.of({**CONFIG, "type_vocab_size": "?"}, "distilbert") == SMALL._replace(types=0)
    assert Sizes.of({**CONFIG, "fit_size": 6}, "tinybert") == SMALL._replace(teacher=6)
    assert Sizes.of({**CONFIG, "fit_size": 6}, "bert") == SMALL


def deep(levels: int) -> dict[str, Any]:
    config = CONFIG
    for _ in range(levels):
        config = {"init_args": [config]}
    return config


NONSENSE: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "bert", "no hidden_size"),
    "no vocabulary": ({key: size for key, size in CONFIG.items() if key != "vocab_size"}, "bert", "no vocab_size"),
    "text": ({**CONFIG, "hidden_size": "8"}, "bert", "hidden_size '8', where a whole number"),
    "a float": ({**CONFIG, "num_hidden_layers": 2.0}, "bert", "num_hidden_layers 2.0"),
    "a truth": ({**CONFIG, "type_vocab_size": True}, "bert", "type_vocab_size True"),
    "null": ({**CONFIG, "vocab_size": None}, "bert", "vocab_size None"),
    "zero": ({**CONFIG, "num_attention_heads": 0}, "bert", "num_attention_heads 0"),
    "negative": ({**CONFIG, "max_position_embeddings": -1}, "bert", "max_position_embeddings -1"),
    "a list": ({**CONFIG, "intermediate_size": [12]}, "bert", "intermediate_size [12]"),
    "huge": ({**CONFIG, "num_hidden_layers": 10**30}, "bert", "num_hidden_layers 1000000"),
    "uneven heads": ({**CONFIG, "num_attention_heads": 3}, "bert", "8 does not divide into 3 heads"),
    "two widths": ({**CONFIG, "dim": 9}, "distilbert", "hidden_size and dim, and they differ"),
    "no width of embeddings": (CONFIG, "albert", "no embedding_size"),
    "two groups": ({**CONFIG, "embedding_size": 4, "num_hidden_groups": 2}, "albert", "num_hidden_groups 2"),
    "two inner layers": ({**CONFIG, "embedding_size": 4, "inner_group_num": "x"}, "albert", "inner_group_num 'x'"),
    "nested without end": (deep(6), "bert", "init_args inside init_args"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_a_configuration_of_nonsense_is_refused(case: str) -> None:
    config, family, text = NONSENSE[case]
    with pytest.raises(FormatError) as caught:
        Sizes.of(config, family)
    assert text in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CONFIG, "init_args"]), inner),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from([*CONFIG, "init_args", "dim", "embedding_size"]), JSON), st.sampled_from(FAMILIES)
)
def test_any_configuration_gives_sizes_or_is_refused(config: dict[str, Any], family: str) -> None:
    try:
        sizes = Sizes.of({**CONFIG, **config}, family)
    except FormatError:
        return
    assert sizes.hidden % (sizes.heads or 1) == 0
    assert all(type(size) is int for size in sizes[:8])


def test_many_init_args_cost_no_more_than_their_number() -> None:
    config = {"init_args": [{f"key{number}": number} for number in range(100_000)] + [CONFIG]}
    assert Sizes.of(config, "bert") == SMALL


@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_model_is_found_to_be_whole(family: str) -> None:
    sizes = {"albert": NARROW, "distilbert": SMALL._replace(types=0)}.get(family, SMALL)
    assert said(whole(family, sizes), sizes) == []


ABSENT = {
    "bert": ["pooler", "mlm", "nsp"],
    "tinybert": ["pooler", "mlm", "nsp", "fit_denses", "fit_dense"],
    "distilbert": ["mlm"],
    "albert": ["pooler", "mlm", "nsp"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_absent_part_is_a_note_and_no_error(family: str) -> None:
    sizes = NARROW if family == "albert" else SMALL
    names = expected(family, sizes, groups={"core"})
    found = whole(family, sizes)
    found = found._replace(tensors={name: one for name, one in found.tensors.items() if name in names})
    assert said(found, sizes) == [f"note: : no {part}: this file does not hold that part" for part in ABSENT[family]]


def test_tinybert_may_have_one_kind_of_distillation_layers() -> None:
    found = whole("tinybert", SMALL, fit_dense__weight=None, fit_dense__bias=None)
    assert said(found) == ["note: : no fit_dense: this file does not hold that part"]
    found = whole("tinybert", SMALL, fit_denses__2__bias=None)
    assert said(found) == ["error: fit_denses.2.bias: missing"]


def test_distillation_layers_agree_on_the_width_of_the_teacher() -> None:
    other = whole("tinybert", SMALL._replace(teacher=6))
    assert said(other) == []
    assert said(other, SMALL._replace(teacher=7))[0].startswith("error: fit_denses.0.weight: shape 6 x 8, where the")
    mixed = whole("tinybert", SMALL._replace(teacher=6), fit_dense__bias=(7,))
    assert said(mixed) == ["error: fit_dense.bias: shape 7, where the configuration leads to 6"]


def test_every_fault_is_named() -> None:
    found = whole(
        "bert",
        SMALL,
        pooler__dense__bias=None,
        encoder__layer__1__output__dense__weight=(12, 8),
        encoder__layer__2__output__dense__weight=(8, 12),
        embeddings__LayerNorm__bias=(),
    )
    assert said(found) == [
        "error: pooler.dense.bias: missing",
        "error: encoder.layer.2.output.dense.weight: extra: the configuration knows no such tensor",
        "error: embeddings.LayerNorm.bias: shape of a scalar, where the configuration leads to 8",
        "error: encoder.layer.1.output.dense.weight: shape 12 x 8, where the configuration leads to 8 x 12",
    ]


def test_a_missing_tensor_of_the_core_is_an_error_even_where_all_are_missing() -> None:
    found = Canonical("bert", {})
    assert len([one for one in said(found) if one.startswith("error") and one.endswith("missing")]) == 5 + 16 * 2


def test_the_head_of_a_fine_tuned_model_is_a_note() -> None:
    found = whole("bert", SMALL, classifier__weight=(3, 8), classifier__bias=(3,))
    assert said(found) == [
        "note: classifier.weight: the head of a fine-tuned model",
        "note: classifier.bias: the head of a fine-tuned model",
    ]


def test_a_decoder_of_its_own_is_a_warning_and_must_have_the_tables_shape() -> None:
    name = "cls.predictions.decoder.weight"
    found = whole("bert", SMALL, cls__predictions__decoder__weight=(20, 8))._replace(untied=(name,))
    text = "is not tied: its numbers are not those of embeddings.word_embeddings.weight"
    assert said(found) == [f"warning: {name}: {text}"]
    found = whole("bert", SMALL, cls__predictions__decoder__weight=(21, 8))._replace(untied=(name,))
    assert said(found)[1] == f"error: {name}: shape 21 x 8, where the configuration leads to 20 x 8"


def with_dtypes(dtypes: Mapping[str, str]) -> Canonical:
    found = whole("bert", SMALL)
    return found._replace(
        tensors={name: one._replace(dtype=dtypes.get(name, "F32")) for name, one in found.tensors.items()}
    )


def test_some_of_another_precision_are_named_and_whole_numbers_are_errors() -> None:
    found = with_dtypes({"pooler.dense.bias": "F16", "pooler.dense.weight": "F16", "cls.seq_relationship.bias": "I64"})
    assert sorted(said(found)) == [
        "error: cls.seq_relationship.bias: dtype I64, where F32 should be",
        "warning: : 2 of 46 tensors are F16, where the others are F32: pooler.dense.weight, pooler.dense.bias",
    ]
    found = with_dtypes(dict.fromkeys([*whole("bert", SMALL).tensors][:-1], "F16"))
    (last,) = [name for name, one in found.tensors.items() if one.dtype == "F32"]
    assert said(found) == [f"warning: : 1 of 46 tensors is F32, where the others are F16: {last}"]
    found = with_dtypes(dict.fromkeys([*whole("bert", SMALL).tensors][:4], "F64"))
    assert said(found)[0].endswith(", …")


def test_one_other_precision_of_all_is_a_note() -> None:
    assert said(with_dtypes(dict.fromkeys(whole("bert", SMALL).tensors, "F16"))) == [
        "note: : all tensors are F16, not F32"
    ]


def test_a_finding_reads_as_a_sentence() -> None:
    found = judge(whole("bert", SMALL, pooler__dense__bias=None), "bert", SMALL)
    assert [str(one) for one in found] == ["structure: error: pooler.dense.bias: missing"]


BAD_SHAPES: dict[str, tuple[str, dict[str, Any], str]] = {
    "no table": ("bert", {"embeddings__word_embeddings__weight": None}, "no embeddings.word_embeddings.weight"),
    "a flat table": ("bert", {"embeddings__word_embeddings__weight": (20,)}, "shape [20], where a matrix"),
    "an empty table": ("bert", {"embeddings__word_embeddings__weight": (0, 8)}, "vocab 0, where"),
    "no segments": ("bert", {"embeddings__token_type_embeddings__weight": (0, 8)}, "types 0, where"),
    "two widths": ("bert", {"embeddings__word_embeddings__weight": (20, 7)}, "width 7 in a model of width 8"),
    "a layer far away": ("bert", {"encoder__layer__9998__output__dense__bias": (8,)}, "layers 9999, where"),
    "no first layer": ("distilbert", {"transformer__layer__0__ffn__lin1__weight": None}, "no transformer.layer.0.ffn"),
}


@pytest.mark.parametrize("case", BAD_SHAPES)
def test_shapes_that_show_no_sizes_are_refused(case: str) -> None:
    family, changed, text = BAD_SHAPES[case]
    with pytest.raises(FormatError) as caught:
        Sizes.from_shapes(whole(family, SMALL, **changed), family)
    assert text in str(caught.value)


def test_shapes_show_every_size_but_heads_and_the_layers_of_albert() -> None:
    assert Sizes.from_shapes(whole("bert", SMALL), "bert") == SMALL._replace(heads=None)
    assert Sizes.from_shapes(whole("distilbert", SMALL), "distilbert") == SMALL._replace(heads=None, types=0)
    assert Sizes.from_shapes(whole("albert", NARROW), "albert") == NARROW._replace(heads=None, layers=None)
    tiny = SMALL._replace(heads=None, teacher=768)
    assert Sizes.from_shapes(whole("tinybert", SMALL), "tinybert") == tiny
    assert counts("albert", NARROW._replace(layers=None)) == counts("albert", NARROW)


def test_layers_are_needed_where_each_has_its_own_weights() -> None:
    with pytest.raises(ValueError, match="number of layers"):
        expected("bert", SMALL._replace(layers=None))


def test_groups_divide_a_model() -> None:
    parts = [expected("tinybert", SMALL, groups={group}) for group in GROUPS]
    assert sum(map(len, parts)) == len(expected("tinybert", SMALL)) == 46 + 2 * 4
