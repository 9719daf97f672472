"""Changes to a catalog: a user's own entry, and what differs between two catalogs.

An added entry says what its address says and nothing else: all other values are null,
to be filled in by hand by who knows them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from mirror.catalog.check import address_fault, check
from mirror.catalog.places import printable
from mirror.catalog.read import can_be_path, parse
from mirror.catalog.values import HUB, Catalog, Shape
from mirror.catalog.write import layout, plain_values
from mirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HUB = re.compile(r"(?P<repo>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<ref>\S+))?", re.ASCII)
_HUB_PAGE = re.compile(rf"(?:hf:|{re.escape(HUB)}/)([\w.-]+/[\w.-]+)(?:/(?:tree|resolve)/([^/\s]+))?/?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_PROVENANCE = "user"
_NAMES = "a name has letters, digits and . _ / + -, and begins with a letter or digit"
_ADDRESSES = "give hf:OWNER/REPO, https://HOST/PATH/FILE, file:///FOLDER/, file:///FOLDER/FILE or peer:http://HOST:PORT"


class Change(NamedTuple):
    """One difference between two catalogs.

    Attributes:
        kind: ``added``, ``removed`` or ``changed``.
        where: Path into the catalog, ids in place of numbers.
        before: Value in the old catalog; None when added.
        after: Value in the new catalog; None when removed.
    """

    kind: str
    where: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.kind == "changed":
            return f"~ {self.where}: {_short(self.before)} -> {_short(self.after)}"
        sign, value = ("+", self.after) if self.kind == "added" else ("-", self.before)
        return f"{sign} {self.where}" + ("" if isinstance(value, dict) else f": {_short(value)}")


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
        aliases: Other names for it.
        sha256: Pin for the only file, hex.
        size: Bytes of the only file.

    Raises:
        UsageError: An address is none of these, the name is taken, or a value does not fit the schema.
    """
    source, derived = _source(addresses)
    chosen = name or derived
    for word in (chosen, *aliases):
        if (known := catalog.model(word)) is not None:
            hint = "choose another with --id" if word == chosen else "choose another --alias"
            raise UsageError(f"{word!r} is in the catalog already: {known.name}", hint=hint)
    if sha256 is not None or size is not None:
        _promise(source["files"], sha256, size)
    data = plain_values(catalog.data)
    note = "entered by this catalog's owner"
    data["provenance"].setdefault(
        _PROVENANCE, {"repo": None, "path": None, "commit": None, "public_record": None, "note": note}
    )
    entry = _entry(chosen, list(aliases), source)
    if problems := check(layout({**data, "models": [entry], "bundles": []})):
        remedy = _name_hint(problems[0].where, printable(chosen), derived=name is None)
        raise UsageError(str(problems[0]), hint=remedy)
    data["models"].append(entry)
    return parse(layout(data))


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


def diff(old: Catalog, new: Catalog) -> list[Change]:
    """Return every difference between two catalogs; the order of entries does not count."""
    return list(_differences(plain_values(old.data), plain_values(new.data), []))


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


def _differences(old: Any, new: Any, path: list[str]) -> Iterator[Change]:
    where = "/".join(path)
    if isinstance(old, list) and isinstance(new, list):
        keyed_old, keyed_new = _keyed(old), _keyed(new)
        if keyed_old is not None and keyed_new is not None:
            old, new = keyed_old, keyed_new
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            at = [*path, key]
            if key not in new:
                yield Change("removed", "/".join(at), old[key], None)
            elif key not in old:
                yield Change("added", "/".join(at), None, new[key])
            else:
                yield from _differences(old[key], new[key], at)
    elif old != new:
        yield Change("changed", where, old, new)


def _keyed(items: list[Any]) -> dict[str, Any] | None:
    """Return a list of entries by what identifies each; None for any other list."""
    keyed: dict[str, Any] = {}
    for item in items:
        names = [name for name in ("id", "path", "what") if name in item] if isinstance(item, dict) else []
        if not names or item[names[0]] in keyed:
            return None
        keyed[item[names[0]]] = item
    return keyed


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
