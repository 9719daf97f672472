"""Where the mirror is: the folder with ``catalog.json`` and ``cache/``.

Found as git finds a repository, by walking up; named by ``--mirror`` or
``MINIBERT_MIRROR``; the user's own where there is no other. Looks, never makes,
except in ``make``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLE = "MINIBERT_MIRROR"
CATALOG = "catalog.json"
LOCK = "catalog.lock.json"
CACHE = "cache"


class Place(NamedTuple):
    """The paths of one mirror.

    Attributes:
        root: The folder.
        how: Why it was taken, in words for people: ``"--mirror"``, ``"found above …"``.
    """

    root: Path
    how: str

    @property
    def catalog(self) -> Path:
        """The mirror's own catalog; it may be missing in a user's own mirror."""
        return self.root / CATALOG

    @property
    def lock(self) -> Path:
        """The pins that ``lock`` wrote."""
        return self.root / LOCK

    @property
    def cache(self) -> Path:
        """Blobs, partials and the ledger."""
        return self.root / CACHE

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.cache / "ledger.db"


def find(named: Path | None, *, environ: Mapping[str, str], cwd: Callable[[], Path]) -> Place:
    """Return the mirror that a command should work on.

    Args:
        named: What ``--mirror`` says.
        environ: The environment.
        cwd: Returns the working directory; asked where nothing is named.

    Raises:
        UsageError: A folder was named and is no mirror.
    """
    if named is not None:
        return _checked(named, "--mirror")
    if environ.get(VARIABLE):
        return _checked(Path(environ[VARIABLE]), VARIABLE)
    here = cwd()
    for folder in (here, *here.parents):
        if is_mirror(folder):
            return Place(folder, f"found above {here}" if folder != here else "the working directory")
    return Place(own(environ), "your own mirror, since none was found here or above")


def is_mirror(folder: Path) -> bool:
    """Whether ``folder`` has a catalog and a cache."""
    return (folder / CATALOG).is_file() and (folder / CACHE).is_dir()


def own(environ: Mapping[str, str]) -> Path:
    """Return the user's own mirror (XDG data directory, or the platform's like)."""
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "minibert-mirror"
    from platformdirs import user_data_path

    return user_data_path("minibert-mirror", appauthor=False)


def own_config(environ: Mapping[str, str]) -> Path:
    """Return where a user's own settings are (XDG config directory, or the platform's like)."""
    if environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"]) / "minibert-mirror"
    from platformdirs import user_config_path

    return user_config_path("minibert-mirror", appauthor=False)


def own_trees(where: Place, environ: Mapping[str, str]) -> Path:
    """Return where a user who may not write a mirror has its files under their own names (XDG cache directory)."""
    import hashlib  # 2 ms, for one command

    key = hashlib.sha256(os.fsencode(where.cache.resolve())).hexdigest()[:16]
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "minibert-mirror" / key
    from platformdirs import user_cache_path

    return user_cache_path("minibert-mirror", appauthor=False) / key


def make(folder: Path, catalog_text: str) -> Place:
    """Make ``folder`` a mirror with the catalog ``catalog_text``; keep what is there.

    Raises:
        UsageError: It is one already.
        StoreError: The folder cannot be made.
    """
    if is_mirror(folder):
        raise UsageError(f"{folder} is a mirror already")
    try:
        (folder / CACHE).mkdir(parents=True, exist_ok=True)
        if not (folder / CATALOG).exists():
            (folder / CATALOG).write_text(catalog_text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}") from error
    return Place(folder, "just made")


def prepare(where: Place) -> None:
    """Make the folders of a mirror that is about to be written: a user's own may not be there yet.

    Raises:
        StoreError: They cannot be made.
    """
    try:
        where.cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{where.cache}: {error.strerror}") from error


def _checked(folder: Path, how: str) -> Place:
    folder = folder.expanduser().absolute()
    if not is_mirror(folder):
        raise UsageError(
            f"{how}: {folder} is no mirror (it has no {CATALOG} or no {CACHE}/)",
            hint=f"make one with `minibert-mirror init {folder}`",
        )
    return Place(folder, how)
