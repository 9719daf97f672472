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

if TYPE_CHECKING:
    from mirror.upstream.world import World

Makers = dict[str, Callable[[], bytes]]


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
    listed = {file["path"] for file in source["files"]}
    makers: Makers = {
        ".gitattributes": GITATTRIBUTES.encode,
        "README.md": partial(files.readme, source["repo"]),
        "config.json": files.config_json,
        "model.safetensors": files.safetensors,
        # Google's own were converted from TensorFlow, and kernels still lie as they did there.
        "pytorch_model.bin": partial(files.torch, converted=source["repo"].startswith("google/")),
        "tokenizer_config.json": files.tokenizer_config_json,
    }
    if files.entry["tokenizer"]["kind"] == "sentencepiece":
        makers["spiece.model"] = files.spiece
    else:
        makers |= {"tokenizer.json": files.tokenizer_json, "vocab.txt": files.vocab}
    if "LICENSE" in listed:
        makers["LICENSE"] = files.licence
    return makers


def _objects(files: ModelFiles, source: Mapping[str, Any]) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yield address, path and maker of each of an http source's files."""
    for file in source["files"]:
        make = _object(files, file["path"])
        for url in file["urls"]:
            yield url, file["path"], make


def _object(files: ModelFiles, path: str) -> Callable[[], bytes]:
    """Return what makes the file that an object store calls ``path``."""
    if path.endswith(".tar.gz"):
        return partial(files.albert_archive, path.removesuffix(".tar.gz").rpartition("_")[0])
    makers: dict[str, Callable[[], bytes]] = {
        ".zip": files.google_archive,
        ".pdparams": partial(files.paddle, converted=files.entry["family"] == "bert-miniature"),
        "vocab.txt": files.vocab,
        "spiece.model": files.spiece,
        "model_config.json": files.model_config_json,
        "tokenizer_config.json": files.tokenizer_config_json,
    }
    return next((make for suffix, make in makers.items() if path.endswith(suffix)), files.licence)


def _share(world: World, files: ModelFiles, source: Mapping[str, Any]) -> None:
    """Make a share's page, and what a person who knows the code finds behind it."""
    share = share_id(source["url"])
    world.pan.shares.add(share)
    found: Makers = {"vocab.txt": files.vocab}
    if "pytorch" in source["formats"]:
        found |= {"config.json": files.config_json, "pytorch_model.bin": files.torch}
    else:
        found |= {f"{files.id.replace('bert_', '')}.zip": files.google_archive}
    world.handoffs[share] = {name: Content(make) for name, make in found.items()}


def share_id(url: str) -> str:
    """Return the id of a share address: what follows the ``1`` of ``/s/1…``."""
    return url.rstrip("/").rpartition("/s/1")[2]


def _bundle(world: World, source: Mapping[str, Any], archives: Makers) -> None:
    from mirror.upstream.containers.archives import zipped

    def everything() -> bytes:
        return zipped({path: make() for path, make in archives.items()}, deflate=False)

    if source["kind"] == "baidu-pan" and source.get("url"):
        world.pan.shares.add(share_id(source["url"]))
        world.handoffs[share_id(source["url"])] = {"all_bert_models.zip": Content(everything)}
    for file in source["files"] if source["kind"] == "http" else ():
        for url in file["urls"]:
            world.add_url(url, everything)
