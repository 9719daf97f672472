"""The summary of what did not come: every remedy stands under the failures it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.cli.problems import show
from mirror.errors import ConnectionDroppedError, IntegrityError, NotFoundError, SourceError, UnpinnedError
from mirror.sync.outcome import Problem

if TYPE_CHECKING:
    import pytest


def test_a_remedy_stands_under_its_own_failures(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        [
            Problem("a", SourceError("odd")),
            Problem("b", NotFoundError("b: status 404")),
            Problem("c", ConnectionDroppedError("refused")),
            Problem("d", NotFoundError("d: status 404")),
            Problem("e", IntegrityError("wrong")),
            Problem("f", UnpinnedError("f: has no pin")),
        ]
    )
    assert capsys.readouterr().err.splitlines() == [
        "failed a: odd",
        "",
        "failed b: status 404",
        "failed d: status 404",
        f"  {NotFoundError.hint}",
        "failed c: refused",
        f"  {ConnectionDroppedError.hint}",
        "failed e: wrong",
        "",
        "failed f: has no pin",
        f"  {UnpinnedError.hint}",
        "error: 6 did not come: 2 not found, 1 source, 1 connection dropped, 1 integrity, 1 unpinned",
    ]
