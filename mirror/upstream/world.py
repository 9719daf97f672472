"""The whole outside world: hosts, what they hold, and ways to add to it.

``build_world`` fills it with every downloadable source of a catalog, at demo scale; files
are made when somebody first asks for them. An empty ``World`` takes any files, real ones
at their real paths and revisions included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mirror.upstream.cdn import Cdn
from mirror.upstream.content import Content
from mirror.upstream.host import ROLE_OF, Host
from mirror.upstream.hub import Hub
from mirror.upstream.objects import (
    ObjectHost,
    StoredObject,
    Validators,
    anything,
    baidu,
    baidu_error,
    google,
    google_error,
    plain_error,
)
from mirror.upstream.pan import Pan
from mirror.upstream.pan_open import OpenPlatform
from mirror.upstream.repository import LFS_SUFFIXES, HubFile, Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mirror.upstream.server import Server
#: Larger files go to the CDN whatever they are called, as the Hub has it.
_LFS_FROM = 10 << 20


@dataclass(slots=True)
class World:
    """Every host and what it holds.

    Attributes:
        hub: Repositories, tokens and habits of the hub.
        stores: Object stores by role: ``google``, ``baidu``, ``paddlenlp``, ``plain``.
        pan: Share pages.
        open: Baidu's open platform: a user's own disk, as an app may see it.
        handoffs: What a person gets from each share, by share id and file name.
        shipped: The catalog that the world was built from, as JSON values.
        scale: What widths and vocabularies were divided by.
    """

    hub: Hub = field(default_factory=Hub)
    stores: dict[str, ObjectHost] = field(default_factory=dict)
    pan: Pan = field(default_factory=Pan)
    open: OpenPlatform = field(default_factory=OpenPlatform)
    handoffs: dict[str, dict[str, Content]] = field(default_factory=dict)
    shipped: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    scale: int = 1

    def __post_init__(self) -> None:
        self.pan.parts.append(self.open)
        shared = ObjectHost(baidu, baidu_error)
        self.stores = {
            "google": ObjectHost(google, google_error),
            "baidu": shared,
            # The same bucket, named by the host instead of the path.
            "paddlenlp": ObjectHost(baidu, baidu_error, shared.objects, prefix="/paddlenlp"),
            "plain": ObjectHost(anything, plain_error),
            **self.stores,
        }

    @property
    def hosts(self) -> Mapping[str, Host]:
        """The hosts by role."""
        return {
            "hub": self.hub,
            "cdn": Cdn(self.hub.repositories),
            "pan": self.pan,
            "openapi": self.open.grants,
            "pcs": self.open.storage,
            "baidupcs": self.open.storage,
            **self.stores,
        }

    def repository(self, name: str) -> Repository:
        """Return the hub repository ``owner/name``; an empty one when it is new."""
        return self.hub.repositories.setdefault(name, Repository(name))

    def add_hub_file(
        self,
        repo: str,
        revision: str,
        path: str,
        data: bytes | Path | Callable[[], bytes],
        *,
        lfs: bool | None = None,
    ) -> str:
        """Put a file into a repository and return the commit.

        Args:
            repo: ``owner/name``; made when it is new.
            revision: A full commit, or a branch. The first one also becomes ``main``.
            path: Where the file stands in the repository.
            data: The bytes, a file that has them, or a call that makes them.
            lfs: Whether it goes to the CDN; by default its name and size decide.
        """
        if lfs is None:
            lfs = path.endswith(LFS_SUFFIXES) or (not callable(data) and _length(data) > _LFS_FROM)
        return self.repository(repo).add(revision, path, HubFile(Content(data), lfs))

    def add_object(
        self,
        host: str,
        path: str,
        data: bytes | Path | Callable[[], bytes],
        *,
        private: bool = False,
        validators: Validators = Validators.STRONG,
    ) -> None:
        """Put an object on an object store or the plain host.

        Args:
            host: A role (``google``, ``baidu``, ``paddlenlp``, ``plain``) or a real host name.
            path: Path on that host, with a leading slash.
            data: The bytes, a file that has them, or a call that makes them.
            private: Whether everybody is answered 403.
            validators: What the plain host says of the file; the others have ways of their own.

        Raises:
            ValueError: No store here is, or stands for, ``host``.
        """
        store = self.stores.get(ROLE_OF.get(host, host))
        if store is None:
            known = [*self.stores, *(name for name, role in ROLE_OF.items() if role in self.stores)]
            raise ValueError(f"no store stands for {host}; there are {', '.join(known)}")
        store.put(store.prefix + path, StoredObject(Content(data), private, validators))

    def add_url(self, url: str, data: bytes | Path | Callable[[], bytes]) -> None:
        """Put an object at a real address; ValueError when none of our stores stands for its host."""
        parts = urlsplit(url)
        self.add_object(parts.hostname or "", parts.path, data)

    @classmethod
    def from_tree(cls, folder: Path) -> World:
        """Return the world of a folder: real host names, and below them what they offer.

        ``huggingface.co/OWNER/NAME/REVISION/PATH`` are files of the hub, any other
        ``HOST/PATH`` objects. Bytes are read from the folder when they are asked for.

        Raises:
            ValueError: A file stands where no host here would offer it; the text names it.
        """
        world = cls()
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            host, *parts = file.relative_to(folder).parts
            if ROLE_OF.get(host) == "hub":
                if len(parts) < 4:
                    raise ValueError(f"{file}: a hub file is at {host}/OWNER/NAME/REVISION/PATH")
                world.add_hub_file("/".join(parts[:2]), parts[2], "/".join(parts[3:]), file)
            else:
                world.add_object(host, "/" + "/".join(parts), file)
        return world

    def catalog(self, server: Server) -> dict[str, Any]:
        """Return the demo's catalog: the shipped one's shape, with addresses on ``server``."""
        from mirror.upstream.demo_catalog import demo_catalog

        return demo_catalog(self, server)


def _length(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def build_world(seed: int = 0, scale: int = 32, catalog: Mapping[str, Any] | None = None) -> World:
    """Return a world with every downloadable source of ``catalog``.

    Args:
        seed: Decides every number of every weight.
        scale: What widths and vocabularies are divided by; 1 gives the true shapes.
        catalog: JSON values of a ``catalog.json``; by default the shipped one.

    Raises:
        CatalogError: The shipped catalog is missing.
    """
    from mirror.upstream.stock import shipped_catalog, stock

    world = World(seed=seed, scale=scale, shipped=dict(catalog or shipped_catalog()))
    stock(world)
    return world
