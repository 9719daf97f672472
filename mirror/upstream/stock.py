"""What the hosts of the demo's world hold: every source of a catalog, file by file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.errors import CatalogError
from mirror.upstream.content import Content
from mirror.upstream.modelfiles import GITATTRIBUTES, ModelFiles
from mirror.upstream.pan_tree import PanShare

if TYPE_CHECKING:
    from mirror.upstream.pan_tree import Tree
    from mirror.upstream.world import World

Makers = dict[str, Callable[[], bytes]]

#: Repositories that have a Flax file as well; which real ones do is not known.
_WITH_FLAX = ("google/bert_uncased_L-2_", "distilbert/", "albert/albert-base-")
#: The model whose Paddle file went through float16.
_ROUNDED = "bert_uncased_L-4_H-512_A-8"
#: Models whose Paddle file holds the numbers of another, of the same shape.
_MISTAKEN = {"albert-large-v2": "albert-large-v1"}


def shipped_catalog() -> dict[str, Any]:
    """Return the JSON values of the catalog that comes with the program.

    Raises:
        CatalogError: It is neither in the package nor at the top of the checkout.
    """
    package = Path(__file__).parents[1]
    for path in (package / "catalog" / "catalog.json", package.parent / "catalog.json"):
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    raise CatalogError("the built-in catalog is missing", hint="install minibert-mirror again")


def stock(world: World) -> None:
    """Put every source of the world's catalog on its host; no file is made yet."""
    archives: Makers = {}
    for entry in world.shipped["models"]:
        files = ModelFiles.of(entry, seed=world.seed, scale=world.scale)
        for source in entry["sources"]:
            if source["kind"] == "hub":
                _repository(world, files, source)
            elif source["kind"] == "http":
                for url, path, make in _objects(files, source):
                    world.add_url(url, make)
                    if path.endswith(".zip"):
                        archives[path] = make
            elif source["kind"] == "baidu-pan" and source.get("url"):
                _share(world, files, source)
    for entry in world.shipped.get("bundles", ()):
        for source in entry["sources"]:
            _bundle(world, source, archives)


def hub_commit(world: World, source: Mapping[str, Any]) -> str:
    """Return the commit of a hub source: the catalog's, or one that the seed decides."""
    invented = hashlib.sha1(f"{world.seed}/{source['repo']}".encode()).hexdigest()
    return str(source["revision"] or invented)


def _repository(world: World, files: ModelFiles, source: Mapping[str, Any]) -> None:
    repo, commit = source["repo"], hub_commit(world, source)
    makers = _hub_files(files, source)
    for earlier in source.get("older_revisions", ()):
        old: Makers = {**makers, "README.md": partial(files.readme, repo, "An earlier revision of this card.\n")}
        for path, make in old.items():
            world.add_hub_file(repo, earlier, path, make)
    for path, make in makers.items():
        world.add_hub_file(repo, commit, path, make)
    world.repository(repo).move("main", commit)


def _hub_files(files: ModelFiles, source: Mapping[str, Any]) -> Makers:
    repo, listed = source["repo"], {file["path"] for file in source["files"]}
    makers: Makers = {
        ".gitattributes": GITATTRIBUTES.encode,
        "README.md": partial(files.readme, repo),
        "config.json": files.config_json,
        "model.safetensors": files.safetensors,
        # Google's own were converted from TensorFlow, and kernels still lie as they did there.
        "pytorch_model.bin": partial(files.torch, legacy=_is_legacy(files, repo), converted=repo.startswith("google/")),
        "tokenizer_config.json": files.tokenizer_config_json,
    }
    if files.entry["tokenizer"]["kind"] == "sentencepiece":
        makers["spiece.model"] = files.spiece
    else:
        makers |= {"tokenizer.json": files.tokenizer_json, "vocab.txt": files.vocab}
    if repo.startswith(_WITH_FLAX):
        makers["flax_model.msgpack"] = files.flax
    if "LICENSE" in listed:
        makers["LICENSE"] = files.licence
    return makers


def _is_legacy(files: ModelFiles, repo: str) -> bool:
    """Whether a repository's ``pytorch_model.bin`` is of PyTorch before 1.6."""
    if repo.startswith("google/"):
        return files.shape.layers % 4 == 0
    return repo.startswith("huawei-noah/") or repo.endswith("-v1")


def _objects(files: ModelFiles, source: Mapping[str, Any]) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yield address, path and maker of each of an http source's files."""
    for file in source["files"]:
        make = _object(files, file["path"], source["url"])
        for url in file["urls"]:
            yield url, file["path"], make


def _object(files: ModelFiles, path: str, url: str) -> Callable[[], bytes]:
    """Return what makes the file that an object store calls ``path``, below or at the source's ``url``."""
    if path.endswith(".tar.gz"):
        return partial(files.albert_archive, path.removesuffix(".tar.gz").rpartition("_")[0])
    makers: dict[str, Callable[[], bytes]] = {
        ".zip": files.google_archive,
        ".pdparams": _paddle(files, url),
        "vocab.txt": files.vocab,
        "spiece.model": files.spiece,
        "model_config.json": files.model_config_json,
        "tokenizer_config.json": files.tokenizer_config_json,
    }
    return next((make for suffix, make in makers.items() if path.endswith(suffix)), files.licence)


def _paddle(files: ModelFiles, url: str) -> Callable[[], bytes]:
    return partial(
        files.paddle,
        protocol=4 if "/renmada/" in url or files.id.endswith("-v2") else 2,
        converted=files.entry["family"] == "bert-miniature",
        rounded=files.id == _ROUNDED,
        numbers_of=_MISTAKEN.get(files.id),
    )


def _share(world: World, files: ModelFiles, source: Mapping[str, Any]) -> None:
    """Make a share, and what a person who knows the code finds behind it."""
    share = share_id(source["url"])
    found: Makers = {"vocab.txt": files.vocab}
    if "pytorch" in source["formats"]:
        # Whichever container Google's repository has, the share has the other; kernels were not turned either.
        torch = partial(files.torch, legacy=not _is_legacy(files, f"google/{files.id}"), converted=True)
        found |= {"config.json": files.config_json, "pytorch_model.bin": torch}
    else:
        found |= {f"{files.id.replace('bert_', '')}.zip": files.google_archive}
    world.handoffs[share] = {name: Content(make) for name, make in found.items()}
    folder = {files.id.replace("bert_", ""): world.handoffs[share]} if "pytorch" in source["formats"] else None
    world.pan.shares.add(_numbered(world, source, folder or world.handoffs[share]))


def _numbered(world: World, source: Mapping[str, Any], tree: Tree) -> PanShare:
    """Return a share with numbers that its id and the seed decide."""
    share = share_id(source["url"])
    digest = hashlib.sha1(f"{world.seed}/{share}".encode()).digest()
    shareid, uk = int.from_bytes(digest[:4], "big"), 1_100_000_000_000 + int.from_bytes(digest[4:8], "big")
    return PanShare(share, source["code"], uk, shareid, tree)


def share_id(url: str) -> str:
    """Return the id of a share address: what follows the ``1`` of ``/s/1…``."""
    return url.rstrip("/").rpartition("/s/1")[2]


def _bundle(world: World, source: Mapping[str, Any], archives: Makers) -> None:
    from mirror.upstream.containers.archives import zipped

    def everything() -> bytes:
        return zipped({path: make() for path, make in archives.items()}, deflate=False)

    if source["kind"] == "baidu-pan" and source.get("url"):
        found = world.handoffs[share_id(source["url"])] = {"all_bert_models.zip": Content(everything)}
        world.pan.shares.add(_numbered(world, source, found))
    for file in source["files"] if source["kind"] == "http" else ():
        for url in file["urls"]:
            world.add_url(url, everything)
