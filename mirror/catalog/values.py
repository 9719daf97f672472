"""What ``catalog.json`` holds, as values.

Every object is made once per catalog and compared by identity: two artifacts are the
same when they are the same object. Null in the file is None here, and means unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.catalog.provenance import readers
from mirror.errors import SelectorError
from mirror.model import Authority, Claim, Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mirror.catalog.provenance import Provenance

#: Where Hub repositories live unless ``HF_ENDPOINT`` says otherwise.
HUB = "https://huggingface.co"


class Shape(NamedTuple):
    """The sizes of a model's configuration; None is unknown."""

    layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    embedding: int | None = None
    intermediate: int | None = None
    vocab_size: int | None = None
    max_position: int | None = None
    type_vocab_size: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PinnedFile:
    """One path of an artifact, or one member of an archive, as the catalog promises it.

    Attributes:
        path: Relative, POSIX, without ``..``.
        urls: Addresses that offer the same bytes, best first; empty for an archive's member.
        size: Bytes, where known.
        sha256: Hex, where known; likewise ``git_sha1`` and ``md5``.
        provenance: Keys of the provenance table.
        elsewhere: Revision at which address, size and digests were read when it is not the artifact's own.
        extra: Everything else that the entry says: role, format, note, candidates.
        members: What an archive should hold; None when nobody has seen.
        table: The catalog's provenance table.
    """

    path: str
    urls: tuple[str, ...]
    size: int | None
    sha256: str | None
    git_sha1: str | None
    md5: str | None
    provenance: tuple[str, ...]
    elsewhere: str | None
    extra: Mapping[str, Any]
    members: tuple[PinnedFile, ...] | None
    table: Mapping[str, Provenance] = field(repr=False)

    @property
    def pinned(self) -> bool:
        """Whether a sha256 is promised for these very bytes."""
        return self.sha256 is not None and self.elsewhere is None

    @property
    def promised_size(self) -> int | None:
        """The size, unless it was read at another revision."""
        return self.size if self.elsewhere is None else None

    def claims(self) -> tuple[Claim, ...]:
        """Return the catalog's word on the file's digests.

        What was read at another revision promises nothing for this one, and a
        ``candidate_…`` annotation never promises anything.
        """
        if self.elsewhere is not None:
            return ()
        known = (("sha256", self.sha256), ("git-sha1", self.git_sha1), ("md5", self.md5))
        digests = [Digest(algorithm, value) for algorithm, value in known if value is not None]
        if not digests:
            return ()
        where = self.where
        return tuple(Claim(digest, Authority.CATALOG, where) for digest in digests)

    @property
    def where(self) -> str:
        """Where the promise comes from, for people."""
        return f"catalog.json: {readers(self.table[key] for key in self.provenance)}"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One model, or one bundle of many.

    Attributes:
        id: The catalog's id.
        name: Nickname where there is one (``bert-tiny``), else the id; what artifacts are named after.
        aliases: Other names, as printed.
        family: ``bert-miniature``, ``albert`` …; None is unknown.
        language: ``en``, ``zh``, ``multilingual``; None is unknown.
        shape: Sizes of the configuration.
        licence: SPDX expression, where a publisher states one.
        bundle: Whether it repeats the bytes of other models.
        entry: Everything that the catalog says of it.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    family: str | None
    language: str | None
    shape: Shape
    licence: str | None
    bundle: bool
    entry: Mapping[str, Any] = field(repr=False)

    @property
    def label(self) -> str:
        """The name as its publisher prints it: ``BERT-Tiny``."""
        return next((alias for alias in self.aliases if alias.lower() == self.name), self.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that selects it."""
        return tuple(dict.fromkeys((self.name, self.id, *self.aliases)))

    @property
    def parameters(self) -> Mapping[str, int]:
        """Exact parameter counts, computed from the shape, by convention of counting."""
        return (self.entry.get("parameters") or {}).get("computed") or {}


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """What one publisher releases of one model at one source.

    Attributes:
        name: ``bert-tiny@huggingface``: the model's name and the source's slug.
        model: The model.
        source: Slug of the source.
        kind: ``hub``, ``http``, ``baidu-pan``, ``folder`` or ``peer``.
        role: What the publisher is to the model, as found.
        formats: ``pytorch``, ``tensorflow`` …; empty is unknown.
        repo: Repository, on a hub.
        revision: Full commit, where one is known.
        url: The address that people open.
        code: Extraction code of a cloud-drive share.
        files: What is known of its files.
        entry: Everything that the catalog says of it.
    """

    name: str
    model: Model = field(repr=False)
    source: str
    kind: str
    role: str | None
    formats: tuple[str, ...]
    repo: str | None
    revision: str | None
    url: str | None
    code: str | None
    files: tuple[PinnedFile, ...]
    entry: Mapping[str, Any] = field(repr=False)

    @property
    def bundle(self) -> bool:
        """Whether it repeats the bytes of other artifacts."""
        return self.model.bundle

    @property
    def waits_for_person(self) -> bool:
        """Whether only a person can fetch it."""
        return self.kind == "baidu-pan"

    @property
    def published(self) -> bool:
        """Whether there is an address at all."""
        return self.entry.get("status") != "unpublished"

    @property
    def ref(self) -> str:
        """What to ask a hub for: the pinned commit, else the branch or tag to follow, else ``main``."""
        ref: str = self.revision or self.entry.get("ref") or "main"
        return ref

    @property
    def complete(self) -> bool:
        """Whether ``files`` is known to be all of them; of a hub and a share it is not."""
        return bool(self.entry.get("file_list_complete", self.kind == "http" and bool(self.files)))

    @property
    def members(self) -> Mapping[str, tuple[PinnedFile, ...]]:
        """Promised members of its archives, by the archive's path."""
        return {file.path: file.members for file in self.files if file.members is not None}

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """A whole catalog.

    Attributes:
        models: The models, in the file's order.
        bundles: The all-in-one releases, which repeat the models' bytes.
        provenance: The table of where values were read.
        sha256: Digest of the text that was read, hex.
        data: The JSON values, files as ``PinnedFile``; for writing it back.
    """

    models: tuple[Model, ...]
    bundles: tuple[Model, ...]
    provenance: Mapping[str, Provenance] = field(repr=False)
    sha256: str
    data: Mapping[str, Any] = field(repr=False)
    by_name: Mapping[str, Model] = field(repr=False)
    by_artifact: Mapping[str, Artifact] = field(repr=False)

    def artifacts(self) -> Iterator[Artifact]:
        """Iterate over every artifact in the file's order: the models', then the bundles'."""
        return iter(self.by_artifact.values())

    def artifacts_of(self, model: Model) -> tuple[Artifact, ...]:
        """Return one model's artifacts."""
        return tuple(self.by_artifact[f"{model.name}@{source['id']}"] for source in model.entry["sources"])

    def artifact(self, name: str) -> Artifact:
        """Return the artifact that is called exactly ``name``.

        Raises:
            SelectorError: There is none.
        """
        found = self.by_artifact.get(name)
        if found is None:
            import difflib

            raise SelectorError(
                f"no artifact {name!r}", nearest=tuple(difflib.get_close_matches(name, self.by_artifact, n=3))
            )
        return found

    def model(self, name: str) -> Model | None:
        """Return the model or bundle of that id, name or alias, ignoring case."""
        return self.by_name.get(name.casefold())

    def refused(self, model: Model) -> Mapping[str, str]:
        """Return the sha256 of look-alikes that must never pass for ``model``, and what they are.

        A file that look-alike and model rightly share, such as a vocabulary, is not in it.
        """
        shared = {known["sha256"] for known in self.data.get("well_known", ())}
        return {
            digest: other["what"]
            for other in model.entry.get("lookalikes") or ()
            for digest in other["members"].values()
            if digest not in shared
        }
