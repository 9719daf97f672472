"""Changes to a catalog: a user's own entry, and one more source of a model.

An added entry says what its address says and nothing else: all other values are null,
to be filled in by hand by who knows them.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from mirror.catalog.check import address_fault, check
from mirror.catalog.places import printable
from mirror.catalog.read import can_be_path, parse
from mirror.catalog.values import HUB, Catalog, Shape
from mirror.catalog.write import layout, plain_values
from mirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_HUB = re.compile(r"(?P<repo>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<ref>\S+))?", re.ASCII)
_HUB_PAGE = re.compile(rf"(?:hf:|{re.escape(HUB)}/)([\w.-]+/[\w.-]+)(?:/(?:tree|resolve)/([^/\s]+))?/?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_PROVENANCE = "user"
_NAMES = "a name has letters, digits and . _ / + -, and begins with a letter or digit"
_ADDRESSES = "give hf:OWNER/REPO, https://HOST/PATH/FILE, file:///FOLDER/, file:///FOLDER/FILE or peer:http://HOST:PORT"


def add(
    catalog: Catalog,
    addresses: Sequence[str],
    *,
    name: str | None = None,
    aliases: Sequence[str] = (),
    sha256: str | None = None,
    size: int | None = None,
) -> Catalog:
    """Return ``catalog`` with one more model, at the end.

    Args:
        catalog: The catalog; it stays as it is.
        addresses: One ``hf:OWNER/REPO[@REV]``, hub page, Baidu Pan share, ``peer:URL`` or ``file://`` folder (it
            ends with a slash); or the URLs of the model's files.
        name: Id of the new model; derived from the address when it is None.
        aliases: Other names for it. A repository that is given neither these nor a name is called without its
            owner as well, where no other model is.
        sha256: Pin for the only file, hex.
        size: Bytes of the only file.

    Raises:
        UsageError: An address is none of these, the name is taken, or a value does not fit the schema.
    """
    source, derived = _source(addresses)
    chosen = name or derived
    if chosen == source.get("repo") and not aliases:
        aliases = _short(catalog, chosen)
    for word in (chosen, *aliases):
        if (known := catalog.model(word)) is not None:
            hint = "choose another with --id" if word == chosen else "choose another --alias"
            raise UsageError(f"{word!r} is in the catalog already: {known.name}", hint=hint)
    if sha256 is not None or size is not None:
        _promise(source["files"], sha256, size)
    data = _with_owner(catalog)
    entry = _entry(chosen, list(aliases), source)
    if problems := check(layout({**data, "models": [entry], "bundles": []})):
        remedy = _name_hint(problems[0].where, printable(chosen), derived=name is None)
        raise UsageError(str(problems[0]), hint=remedy)
    data["models"].append(entry)
    return parse(layout(data))


def _short(catalog: Catalog, repo: str) -> tuple[str, ...]:
    """Return the name of a repository without its owner, where it is free."""
    short = repo.partition("/")[2]
    return (short,) if short and catalog.model(short) is None else ()


def add_source(
    catalog: Catalog, model: str, addresses: Sequence[str], *, formats: Sequence[str] = ()
) -> tuple[Catalog, str]:
    """Return ``catalog`` with one more source of a model that it has, and the name of the artifact that this is.

    Args:
        catalog: The catalog; it stays as it is.
        model: Name or alias of the model.
        addresses: As ``add`` has them.
        formats: Of the weights; none where nobody knows.

    Raises:
        UsageError: There is no such model, it has that source already, or an address does not fit the schema.
    """
    known = catalog.model(model)
    if known is None or known.bundle:
        raise UsageError(f"no model {model!r} in the catalog", hint="`minibert-mirror catalog list` prints every name")
    source, _ = _source(addresses)
    source["formats"] = list(formats)
    data = _with_owner(catalog)
    entry = next(one for one in data["models"] if one["id"] == known.id)
    for other in entry["sources"]:
        if other["url"] is not None and (other["url"], other["kind"]) == (source["url"], source["kind"]):
            raise UsageError(f"{source['url']} is in the catalog already: {known.name}@{other['id']}")
    source["id"] = _free_id(source, [other["id"] for other in entry["sources"]])
    entry["sources"].append(source)
    text = layout(data)
    if problems := [one for one in check(text) if f"/sources/{source['id']}" in one.where]:
        raise UsageError(str(problems[0]))
    return parse(text), f"{known.name}@{source['id']}"


def _free_id(source: dict[str, Any], taken: Sequence[str]) -> str:
    """Return what a source is called: by its kind and format, and with a number where that is taken."""
    first = f"baidu-{source['formats'][0]}" if source["kind"] == "baidu-pan" and source["formats"] else source["id"]
    return next(name for number in count(1) if (name := f"{first}-{number}" if number > 1 else first) not in taken)


def _with_owner(catalog: Catalog) -> dict[str, Any]:
    """Return what a catalog says, with its owner among those who said it."""
    data: dict[str, Any] = plain_values(catalog.data)
    note = "entered by this catalog's owner"
    data["provenance"].setdefault(
        _PROVENANCE, {"repo": None, "path": None, "commit": None, "public_record": None, "note": note}
    )
    return data


def _promise(files: list[dict[str, Any]], sha256: str | None, size: int | None) -> None:
    """Write what the user knows of the only file into its entry."""
    if len(files) != 1:
        raise UsageError("--sha256 and --size describe one file, so give exactly one file's URL")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise UsageError(f"{sha256!r} is no sha256: that has 64 hexadecimal digits", hint="`sha256sum FILE` prints it")
    files[0] |= {"sha256": sha256 and sha256.lower(), "size": size}


def _name_hint(where: str, name: str, *, derived: bool) -> str | None:
    """Return what to do about a problem of the new entry when it is one of its names; None for any other."""
    if where in {f"models/{name}", f"models/{name}/id"}:
        return "choose a name with --id" if derived else _NAMES
    return _NAMES if where.startswith(f"models/{name}/aliases/") else None


def _entry(name: str, aliases: list[str], source: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "name": None,
        "family": None,
        "aliases": aliases,
        "language": None,
        "language_as_printed": None,
        "cased": None,
        "shape": {**Shape()._asdict(), "note": None, "provenance": []},
        "parameters": {"printed": None, "printed_note": None, "printed_provenance": [], "computed": None},
        "licence": {"value": None, "basis": None, "listed": None, "provenance": []},
        "tokenizer": None,
        "glue": None,
        "citations": [],
        "printed": None,
        "notes": [],
        "lookalikes": [],
        "sources": [source],
    }


def _source(addresses: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the source that ``addresses`` describe, and a name for its model."""
    if not addresses:
        raise UsageError("name a Hub repository or URLs")
    first = addresses[0]
    parts = _split(first)
    whole = first.startswith(("hf:", "peer:")) or _HUB_PAGE.fullmatch(first) or first.endswith("/")
    if (whole or parts.hostname == "pan.baidu.com") and len(addresses) > 1:
        raise UsageError(f"{first} is a whole source: add it alone")
    if first.startswith("hf:") or _HUB_PAGE.fullmatch(first):
        return _hub(first)
    if parts.hostname == "pan.baidu.com":
        return _share(first, parts)
    if first.startswith("peer:"):
        return _peer(first.removeprefix("peer:"))
    if parts.scheme == "file" and first.endswith("/"):
        return _base("folder", "folder", first, []), unquote(parts.path.rstrip("/").rpartition("/")[2])
    files = [_file(url) for url in addresses]
    for file in files:
        if sum(file["path"] == other["path"] for other in files) > 1:
            raise UsageError(
                f"two addresses of a file {file['path']!r}",
                hint="give each file once; more addresses of the same bytes go into its `urls` in catalog.json",
            )
    slug = "file" if parts.scheme == "file" else "http"
    return _base(slug, "http", first, files), files[0]["path"].partition(".")[0] or files[0]["path"]


def _share(address: str, parts: SplitResult) -> tuple[dict[str, Any], str]:
    if not parts.path.startswith("/s/1"):
        raise UsageError(
            f"{address!r} is no address of a share",
            hint="give https://pan.baidu.com/s/1…, with ?pwd=CODE where it has an extraction code",
        )
    code = parse_qs(parts.query).get("pwd", [None])[0]
    url = f"https://pan.baidu.com{parts.path}"
    return _base("baidu-pan", "baidu-pan", url, [], code=code), parts.path.rpartition("/")[2]


def _peer(url: str) -> tuple[dict[str, Any], str]:
    parts = _split(url)
    if parts.scheme not in {"http", "https", "file"} or address_fault(url):
        raise UsageError(
            f"{url!r} is no address of a mirror", hint="give peer:http://HOST:PORT/cache or peer:file:///FOLDER"
        )
    return _base("peer", "peer", url, []), parts.hostname or "peer"


def _hub(address: str) -> tuple[dict[str, Any], str]:
    match = _HUB_PAGE.fullmatch(address) or _HUB.fullmatch(address.removeprefix("hf:"))
    if match is None:
        raise UsageError(f"{address!r} is not hf:OWNER/REPO or hf:OWNER/REPO@REVISION")
    repo, ref = match.groups()
    revision = ref if ref and _COMMIT.fullmatch(ref) else None
    pinned = {"repo": repo, "revision": revision, "revision_provenance": [_PROVENANCE] if revision else []}
    if ref and not revision:
        pinned["ref"] = unquote(ref)
    return _base("huggingface", "hub", f"{HUB}/{repo}", [], **pinned, file_list_complete=False), repo


def _base(slug: str, kind: str, url: str, files: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    head: dict[str, Any] = {"id": slug, "kind": kind, "role": None, "formats": [], "url": url}
    return {**head, **more, "files": files, "provenance": [_PROVENANCE]}


def _file(url: str) -> dict[str, Any]:
    parts = _split(url)
    path = unquote(parts.path.rpartition("/")[2])
    if parts.scheme not in {"http", "https", "file"} or address_fault(url) or not can_be_path(path):
        raise UsageError(f"{url!r} is no address of a file", hint=_ADDRESSES)
    entry: dict[str, Any] = {"path": path, "urls": [url], "size": None, "sha256": None, "git_sha1": None, "md5": None}
    return {**entry, "provenance": [_PROVENANCE]}


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{url!r} is no address: {error}") from error
    if parts.username is not None:
        raise UsageError(str(address_fault(url)), hint="leave user name and password out")
    return parts
