"""Artifacts as a catalog promises them, for the tests of the sources: nothing but what a source asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mirror.model import Claim

REPO = "google/bert_uncased_L-2_H-128_A-2"


class File(NamedTuple):
    """One promised path."""

    path: str
    urls: tuple[str, ...] = ()
    promised_size: int | None = None
    pins: tuple[Claim, ...] = ()

    def claims(self) -> tuple[Claim, ...]:
        return self.pins


class Artifact(NamedTuple):
    """One promised artifact; a repository of the hub unless told otherwise."""

    name: str = "bert-tiny@huggingface"
    kind: str = "hub"
    repo: str | None = REPO
    revision: str | None = None
    url: str | None = None
    code: str | None = None
    files: tuple[File, ...] = ()

    @property
    def ref(self) -> str:
        return self.revision or "main"
