"""``upstream``: the miniature of the outside world, on its own, for any tool."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirror.cli.miniature import write_catalog
from mirror.cli.output import emit, json_option, quiet_option, remark, say
from mirror.errors import UsageError

if TYPE_CHECKING:
    from mirror.upstream.faults import Script
    from mirror.upstream.server import Server

#: Roles in the order in which they are shown, with what they are.
_SHOWN = {
    "hub": "Hugging Face hub",
    "cdn": "the hub's CDN",
    "google": "Google storage",
    "baidu": "Baidu object storage",
    "paddlenlp": "Baidu object storage, bucket in the host's name",
    "pan": "Baidu Pan: share pages, and the open platform's listings",
    "openapi": "the open platform's logins",
    "pcs": "where its links lead",
    "baidupcs": "a node that has their bytes",
    "plain": "a plain host",
}


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the hub. Default: a free one.")
@click.option(
    "--faults",
    "script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A fault script in JSON; docs/upstream.md lists the faults.",
)
@click.option(
    "--catalog",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write a catalog whose addresses are this upstream's; a catalog.json gets a cache/ beside it: a mirror.",
)
@click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Serve DIR instead: HOST/PATH, huggingface.co/OWNER/NAME/REVISION/PATH.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every number of the weights.")
@click.option(
    "--scale", type=click.IntRange(1, 64), default=32, show_default=True, help="Divides widths; 1 is true size."
)
@json_option
@quiet_option
def upstream(
    port: int,
    script: Path | None,
    out: Path | None,
    tree: Path | None,
    seed: int,
    scale: int,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the embedded miniature of the outside world.

    A hub, a CDN, Google storage and Baidu object storage on loopback, until Ctrl-C.

    \b
    minibert-mirror upstream --port 8099 --catalog /tmp/m/catalog.json
    HF_ENDPOINT=http://127.0.0.1:8099 minibert-mirror --mirror /tmp/m pull --all
    """
    from mirror.upstream.server import Server
    from mirror.upstream.world import World, build_world

    if tree is not None and out is not None:
        raise UsageError("a tree of files has no catalog: give --tree or --catalog, not both")
    faults = _script(script) if script is not None else None
    try:
        world = World.from_tree(tree) if tree is not None else build_world(seed, scale)
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        server = Server(world, faults=faults, port=port)
    except OSError as error:
        raise UsageError(f"port {port}: {error.strerror}") from error
    with server:
        if out is not None:
            write_catalog(out, world.catalog(server))
        _show(server, as_json=as_json)
        remark("every port also answers as a proxy for the real names; Ctrl-C stops", quiet=quiet or as_json)
        # Ctrl-C is how this command ends well.
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _script(path: Path) -> Script:
    """Return the fault script in the file ``path``.

    Raises:
        UsageError: It is no script; the text says why.
    """
    from mirror.upstream.server import load_script

    try:
        return load_script(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path}: {error}", hint="docs/upstream.md lists the faults and their parameters") from error


def _show(server: Server, *, as_json: bool) -> None:
    """Print the addresses, and the environment that sends tools here."""
    addresses = {role: server.url(role) for role in _SHOWN}
    environment = {"HF_ENDPOINT": server.url("hub"), "HF_HUB_DISABLE_XET": "1"}
    if as_json:
        emit({"addresses": addresses, "environment": environment})
        return
    for role, what in _SHOWN.items():
        say(f"{addresses[role]:24}  {what}")
    for name, value in environment.items():
        say(f"export {name}={value}")
