"""What the hosts of this world have in common: names, and the shape of an answerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mirror.upstream.conditions import Entity
    from mirror.upstream.http import Answer, Request

#: Every role a host can have here, with the real hosts that it stands for.
REAL_HOSTS = {
    "hub": ("huggingface.co", "hf-mirror.com"),
    "cdn": ("cdn-lfs.huggingface.co",),
    "google": ("storage.googleapis.com",),
    "baidu": ("bj.bcebos.com",),
    "paddlenlp": ("paddlenlp.bj.bcebos.com",),
    "pan": ("pan.baidu.com",),
    "openapi": ("openapi.baidu.com",),
    "pcs": ("d.pcs.baidu.com",),
    "baidupcs": ("nj01ct01.baidupcs.com",),
    "plain": ("files.example.org",),
}
ROLES = tuple(REAL_HOSTS)
ROLE_OF = {name: role for role, names in REAL_HOSTS.items() for name in names}
#: What each says in its Server header.
SERVER_NAMES = {"cdn": "AmazonS3", "google": "UploadServer", "baidu": "BceBos", "paddlenlp": "BceBos"}


class Place(Protocol):
    """Where a request arrived, which is what addresses in the answer start from."""

    def url(self, role: str) -> str:
        """Return ``scheme://authority`` of another host of this world."""

    @property
    def ranges(self) -> int:
        """How many requests with a Range the connection has carried before."""


class Host(Protocol):
    """One host: a request in, a file or a finished answer out."""

    def reply(self, request: Request, place: Place) -> Entity | Answer:
        """Answer one request honestly."""

    def names(self, request: Request) -> list[str]:
        """Return every path under which a fault script may know what is asked for."""
