"""What a share should bring, as far as the catalog's shape says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mirror.catalog import parse
from mirror.handoffs import expected
from mirror.upstream.stock import shipped_catalog
from tests import catalogs

SHIPPED = parse(json.dumps(shipped_catalog()), where="the shipped catalog")


@pytest.mark.parametrize(
    ("artifact", "tensors"), [("bert-tiny@baidu-pytorch", (39, 46)), ("bert-base@baidu-tensorflow", (199, 206))]
)
def test_a_share_should_bring_the_tensors_of_its_architecture(artifact: str, tensors: tuple[int, int]) -> None:
    assert expected(SHIPPED.artifact(artifact)).tensors == tensors


def test_nobody_knows_the_tensors_of_a_bundle_and_everybody_those_of_the_others() -> None:
    shares = [artifact for artifact in SHIPPED.artifacts() if artifact.waits_for_person]
    assert all((expected(share).tensors is None) == share.bundle for share in shares)


@pytest.mark.parametrize(
    ("family", "layers", "tensors"),
    [
        ("bert", 2, (39, 46)),
        ("bert", None, None),
        (None, 2, None),
        ("gpt", 2, None),
        ("distilbert", 6, (100, 105)),
        ("albert", 12, (25, 32)),
        ("bert", 10**12, (7 + 16 * 10**12, 14 + 16 * 10**12)),
    ],
)
def test_what_nobody_knows_is_not_made_up(
    family: str | None, layers: int | None, tensors: tuple[int, int] | None
) -> None:
    entry: dict[str, Any] = catalogs.model("some", catalogs.pan(), family=family)
    entry["shape"]["layers"] = layers
    found = expected(parse(catalogs.text(entry), where="a catalog").artifact("some@baidu-pytorch"))
    assert (found.tensors, found.parameters) == (tensors, None)
