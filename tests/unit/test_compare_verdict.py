"""What two weight files are to each other: from their digests, and with a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mirror.compare.difference import Difference
from mirror.compare.verdict import Part, Relation, Verdict, relate, relax

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE = {"core": "c", "pooler": "p", "mlm": "m", "nsp": "n", "all": "a"}


def without(*groups: str, **changed: str) -> dict[str, str]:
    """Return the whole model's roots without some groups, and with others; ``all`` is another then."""
    return {group: root for group, root in {**WHOLE, "all": "b", **changed}.items() if group not in groups}


def off(name: str, largest: float | None) -> Difference:
    return Difference(name, largest, 1, 1)


def test_equal_roots_of_everything_are_identical() -> None:
    verdict = relate(WHOLE, dict(WHOLE))
    assert verdict == Verdict(Relation.IDENTICAL, dict.fromkeys(("core", "pooler", "mlm", "nsp"), Part.SAME))
    assert str(verdict) == "identical"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (without(mlm="x", nsp="y"), "encoder identical, mlm and nsp differ"),
        (without(mlm="x"), "encoder identical, mlm differs"),
        (without("mlm", "nsp"), "encoder identical, mlm and nsp absent"),
        (without("pooler", "nsp", mlm="x"), "encoder identical, mlm differs, pooler and nsp absent"),
        (without(fit="f"), "encoder identical, fit only here"),
        (without("mlm", "nsp", pooler="x", other="o"), "encoder identical, pooler differs, mlm and nsp absent, "),
    ],
)
def test_an_equal_core_is_an_identical_encoder_whatever_the_heads_are(other: Mapping[str, str], said: str) -> None:
    verdict = relate(WHOLE, other)
    assert verdict.relation is Relation.ENCODER
    assert str(verdict).startswith(said)


def test_every_group_that_one_of_the_two_has_is_told_in_its_order() -> None:
    verdict = relate(WHOLE, without("nsp", mlm="x", fit="f"))
    assert list(verdict.parts.items()) == [
        ("core", Part.SAME),
        ("pooler", Part.SAME),
        ("mlm", Part.DIFFERS),
        ("nsp", Part.ABSENT),
        ("fit", Part.EXTRA),
    ]


def test_another_core_is_different_even_where_all_heads_agree() -> None:
    verdict = relate(WHOLE, without(core="x"))
    assert verdict.relation is Relation.DIFFERENT
    assert str(verdict) == "different: core differs"
    assert relate(WHOLE, without("core")).relation is Relation.DIFFERENT


def test_no_core_on_either_side_is_no_identical_encoder() -> None:
    assert relate({"other": "x", "all": "1"}, {"other": "y", "all": "2"}).relation is Relation.DIFFERENT
    assert relate({"other": "x", "all": "1"}, {"other": "x", "all": "1"}).relation is Relation.IDENTICAL


def test_what_was_never_digested_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="no digests"):
        relate(WHOLE, {})


def test_a_tolerance_gives_a_weaker_verdict_that_says_so() -> None:
    strict = relate(WHOLE, without(core="x", mlm="y"))
    found = [off("encoder.layer.0.output.dense.bias", 1e-5), off("cls.predictions.bias", 3e-5)]
    verdict = relax(strict, found, (), 1e-4)
    assert (verdict.relation, verdict.tolerance) == (Relation.WITHIN, 1e-4)
    assert verdict.parts == {"core": Part.WITHIN, "pooler": Part.SAME, "mlm": Part.WITHIN, "nsp": Part.SAME}
    assert str(verdict) == "within 0.0001, which is not identical: core and mlm within tolerance"


def test_one_element_beyond_the_tolerance_keeps_it_different() -> None:
    strict = relate(WHOLE, without(core="x", mlm="y"))
    found = [off("encoder.layer.0.output.dense.bias", 1e-5), off("cls.predictions.bias", 3e-3)]
    verdict = relax(strict, found, (), 1e-4)
    assert verdict.relation is Relation.DIFFERENT
    assert str(verdict) == "different: mlm differs, core within tolerance"


@pytest.mark.parametrize("largest", [None, float("inf")])
def test_another_shape_and_the_infinite_are_within_no_tolerance(largest: float | None) -> None:
    verdict = relax(relate(WHOLE, without(core="x")), [off("encoder.layer.0.output.dense.bias", largest)], (), 1e300)
    assert verdict.relation is Relation.DIFFERENT


def test_a_tensor_that_only_one_of_the_two_has_is_within_no_tolerance() -> None:
    verdict = relax(relate(WHOLE, without(core="x")), (), ["encoder.layer.1.output.dense.bias"], 1e-4)
    assert verdict.relation is Relation.DIFFERENT


def test_a_tolerance_takes_nothing_from_a_stronger_verdict() -> None:
    strict = relate(WHOLE, without("nsp", mlm="y"))
    verdict = relax(strict, [off("cls.predictions.bias", 1e-5)], ["cls.seq_relationship.bias"], 1e-4)
    assert verdict.relation is Relation.ENCODER
    assert str(verdict) == "encoder identical, mlm within tolerance, nsp absent"
    assert relax(relate(WHOLE, WHOLE), (), (), 1e-4).relation is Relation.IDENTICAL
