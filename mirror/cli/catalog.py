"""``catalog``: look at, validate and extend the catalog."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from mirror.catalog.select import HELP
from mirror.cli import complete
from mirror.cli.output import emit, fitted, json_option, quiet_option, remark, say, table
from mirror.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.catalog import Catalog, Model
    from mirror.cli import Workspace

_FILE = click.Path(dir_okay=False, path_type=Path)
#: Columns that a name gets on the narrowest terminal.
_NAME_WIDTH = 28
_HEAD = ("NAME", "L/H", "LANGUAGE", "PARAMETERS", "SOURCES")
_PAN = re.compile(r"\b(?:pan|yun)\.baidu\.com\b", re.IGNORECASE)


@click.group()
def catalog() -> None:
    """Look at, validate and extend the catalog.

    \b
    minibert-mirror catalog list family=albert lang=zh
    minibert-mirror catalog show bert-tiny
    minibert-mirror catalog add hf:OWNER/REPO
    """


@catalog.command(
    "list", help=f"List models, all by default.\n\n\b\nminibert-mirror catalog list family=albert lang=zh\n\n{HELP}"
)
@click.argument("selectors", nargs=-1, shell_complete=complete.selectors)
@json_option
@click.pass_obj
def list_(here: Workspace, selectors: tuple[str, ...], as_json: bool) -> None:
    """List models, all by default."""
    known = here.catalog
    models = _models(known, selectors)
    if as_json:
        for model in models:
            emit(_summary(known, model))
        return
    rows = [_HEAD, *(_line(known, model) for model in models)]
    table(_HEAD, fitted(rows, _NAME_WIDTH)[1:], right=(3,))


@catalog.command()
@click.argument("names", nargs=-1, required=True, metavar="SELECTORS...", shell_complete=complete.selectors)
@json_option
@click.pass_obj
def show(here: Workspace, names: tuple[str, ...], as_json: bool) -> None:
    """Show everything the catalog says of models, and where each value was read.

    Figures that a publisher printed and figures computed from the configuration stand apart. A pin
    that only an unnamed public record gives is called what it is: a claim until first contact.

    \b
    minibert-mirror catalog show bert-tiny
    minibert-mirror catalog show google-all
    minibert-mirror catalog show bert-base --json
    """
    from mirror.catalog.describe import describe
    from mirror.catalog.write import plain_values

    for number, model in enumerate(_models(here.catalog, names)):
        if as_json:
            emit(plain_values(model.entry))
            continue
        if number:
            say()
        for line in describe(here.catalog, model):
            say(line)


@catalog.command()
@click.argument("file", required=False, type=_FILE)
@json_option
@quiet_option
@click.pass_obj
def check(here: Workspace, file: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Name every problem of the mirror's catalog, or of FILE; exit with 3 when there is one.

    Checked are the schema, keys, names and aliases that stand twice, well-formed links and codes, parameter
    counts recomputed from the shapes, the four sources of every miniature, and look-alikes to refuse.

    \b
    minibert-mirror catalog check
    minibert-mirror catalog check ~/new-catalog.json --json
    """
    from mirror.catalog import builtin_catalog_text
    from mirror.catalog.check import check as problems_of
    from mirror.catalog.read import parse, read_text

    path = file or here.catalog_path
    built_in = file is None and not path.exists()
    text = builtin_catalog_text() if built_in else read_text(path)
    problems = problems_of(text)
    for problem in problems:
        if as_json:
            emit({"where": problem.where, "problem": problem.what})
        else:
            say(str(problem))
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "one problem"
        raise CatalogError(f"{path}: {count}", hint="docs/catalog.md explains every field")
    good = parse(text, where=str(path))
    where = "the built-in catalog" if built_in else path
    remark(f"{where}: {len(good.models)} models, {len(good.by_artifact)} artifacts, nothing wrong", quiet=quiet)


@catalog.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--id", "name", metavar="NAME", help="Call the model NAME instead of deriving a name.")
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="Another name for it; may be repeated.")
@click.option("--model", metavar="MODEL", help="Add a source to MODEL, which the catalog has, and no new model.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["pytorch", "tensorflow", "paddle", "flax", "onnx"]),
    help="With --model: what the source has; may be repeated.",
)
@click.option("--sha256", metavar="HEX", help="Pin the digest of the only file.")
@click.option("--size", type=click.IntRange(min=0), metavar="BYTES", help="Promise the size of the only file.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the new entry, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the new entry.")
@quiet_option
@click.pass_obj
def add(
    here: Workspace,
    addresses: tuple[str, ...],
    name: str | None,
    aliases: tuple[str, ...],
    model: str | None,
    formats: tuple[str, ...],
    sha256: str | None,
    size: int | None,
    *,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Add a model of your own to the mirror's catalog, or a source to a model.

    ADDRESS is a Hub repository, the URLs of files, a folder's URL, a Baidu Pan share or another mirror.
    A share may be pasted with the words around it. Nothing is asked of it now: what the address does not
    say is null, to be filled in by hand.

    \b
    minibert-mirror catalog add hf:sentence-transformers/all-MiniLM-L6-v2
    minibert-mirror catalog add hf:OWNER/REPO@v1.0 --alias mine
    minibert-mirror catalog add https://host/a/model.bin https://host/a/vocab.txt --id mine
    minibert-mirror catalog add https://host/model.zip --sha256 07eced37...
    minibert-mirror catalog add file:///data/checkpoints/mine/       a folder
    minibert-mirror catalog add file:///data/weights.bin             a file
    minibert-mirror catalog add '链接: https://pan.baidu.com/s/1... 提取码: abcd' --model bert-tiny
    """
    from mirror import place
    from mirror.catalog import edit
    from mirror.catalog.write import plain_values, write

    found = _shares(addresses) or [_as_folder(address) for address in addresses]
    if model is None:
        if formats:
            raise click.UsageError("--format goes with --model")
        changed = edit.add(here.catalog, found, name=name, aliases=aliases, sha256=sha256, size=size)
        entry, added = changed.models[-1].entry, changed.models[-1].name
    else:
        if name or aliases or sha256 or size is not None:
            raise click.UsageError("--model goes without --id, --alias, --sha256 and --size")
        changed, added = edit.add_source(here.catalog, model, found, formats=formats)
        entry = changed.by_artifact[added].entry
    if dry_run or as_json:
        emit(plain_values(entry))
    if dry_run:
        return
    place.prepare(here.mirror.place)
    write(changed, here.catalog_path)
    short = f", or {', '.join(entry['aliases'])}," if model is None and entry["aliases"] and not aliases else ""
    remark(f"added {added}{short} to {here.catalog_path}", quiet=quiet or as_json)
    by_hand = "baidu-pan" in {one["kind"] for one in entry.get("sources", [entry])}
    remark(f"next: minibert-mirror {'handoff' if by_hand else 'pull'} {added}", quiet=quiet or as_json)


@catalog.command()
@click.argument("old", required=False, type=_FILE)
@click.argument("new", required=False, type=_FILE)
@json_option
@quiet_option
@click.pass_obj
def diff(here: Workspace, old: Path | None, new: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Show what differs between two catalogs: OLD (the built-in one) and NEW (the mirror's).

    \b
    minibert-mirror catalog diff                        what was changed in this mirror
    minibert-mirror catalog diff ../other/catalog.json  what another mirror has otherwise
    """
    from mirror.catalog import builtin_catalog_text, parse, read
    from mirror.catalog.changes import diff as changes_of

    before = read(old) if old else parse(builtin_catalog_text(), where="the built-in catalog")
    after = read(new) if new else here.catalog
    changes = changes_of(before, after)
    for change in changes:
        if as_json:
            values = {"before": change.before, "after": change.after}
            emit({"change": change.kind, "where": change.where, **values})
        else:
            say(str(change))
    if not changes:
        remark("no difference", quiet=quiet)


def _shares(addresses: Sequence[str]) -> list[str]:
    """Return the one share that a text links to, as an address; nothing where it links to none.

    Raises:
        UsageError: It links to several, or to one of a kind that is not known here.
    """
    from mirror.sources.baidu_links import parse

    text = " ".join(addresses)  # a shell has cut what was pasted without quotes
    links = len(_PAN.findall(text))
    if not links:
        return []
    share = parse(text)
    if share is None or links > 1:
        what = "several shares" if share is not None else "no link to a share"
        raise UsageError(f"{what} in {text[:80]!r}", hint="give one link: https://pan.baidu.com/s/1…?pwd=CODE")
    return [share.url]


def _as_folder(address: str) -> str:
    """Return the address of a folder of this machine with the slash that tells it from a file's."""
    if address.startswith("file:///") and not address.endswith("/"):
        with suppress(OSError):
            if Path(unquote(urlsplit(address).path)).is_dir():
                return f"{address}/"
    return address


def _models(known: Catalog, selectors: Sequence[str]) -> list[Model]:
    """Return the models of what is selected, each once; models and bundles without selectors."""
    if not selectors:
        return [*known.models, *known.bundles]
    from mirror.catalog.select import select

    return list(dict.fromkeys(artifact.model for artifact in select(known, selectors)))


def _summary(known: Catalog, model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "id": model.id,
        "aliases": model.aliases,
        "family": model.family,
        "language": model.language,
        "layers": model.shape.layers,
        "hidden": model.shape.hidden,
        "parameters": dict(model.parameters) or None,
        "licence": model.licence,
        "artifacts": [artifact.name for artifact in known.artifacts_of(model)],
    }


def _line(known: Catalog, model: Model) -> tuple[str, ...]:
    sizes = (model.shape.layers, model.shape.hidden)
    shape = "" if model.bundle else "/".join("?" if size is None else str(size) for size in sizes)
    count = next(iter(model.parameters.values()), None)
    sources: dict[str, int] = {}
    for artifact in known.artifacts_of(model):
        publisher = artifact.source.partition("-")[0]
        sources[publisher] = sources.get(publisher, 0) + 1
    return (
        model.name,
        shape,
        model.language or "",
        "" if count is None else f"{count / 1e6:.1f} M",
        " ".join(name if times == 1 else f"{name}x{times}" for name, times in sources.items()),
    )
