"""The examples of the documentation run, in order, as they stand."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mirror.compare.digest import digests, roots
from mirror.compare.names import canonical
from mirror.drive.memory import TokenFile
from mirror.drive.settings import FOLDER, TOKENS
from mirror.formats.checkpoint import Checkpoint, Tensor
from mirror.sources.baidu_open.oauth import App, Tokens
from mirror.upstream.server import Server
from mirror.upstream.world import World, build_world
from tests.command import ROOT, Command, fresh_command, in_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Pages whose consoles are about shares: each console is a day of its own, with Google's copy held.
PAGES = ("baidu-pan.md", "probe.md")
#: What is another whenever a command runs, and how it is written to be compared.
CHANGING = {
    r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d": r"DATE\1TIME",
    r"(TIME):\d\d": r"\1",
    r"in \d+\.\d s": "in N s",
    r"(the code  )[0-9a-z]{8}": r"\1CODE",
    r", reflinked$": ", copied",  # as the file system of whoever runs it can
}


def python_blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))


def in_a_demo_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, code: str) -> dict[str, object]:
    (tmp_path / "cache").mkdir()
    catalog = json.dumps(server.world.catalog(server))  # type: ignore[attr-defined] # a World has one
    (tmp_path / "catalog.json").write_text(catalog, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", server.url("hub"))
    names: dict[str, object] = {}
    exec(compile(code, "docs", "exec"), names)
    return names


def log_in_at_baidu(server: Server, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up an app of the user's, with a file in its folder and a login."""
    given = {"APP_KEY": "key", "SECRET_KEY": "secret", "APP_NAME": "demo"}
    for name, value in {**given, "PAN_BASE": server.url("pan"), "OPENAPI_BASE": server.url("openapi")}.items():
        monkeypatch.setenv(f"MINIBERT_MIRROR_BAIDU_{name}", value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    platform = server.world.open  # type: ignore[attr-defined] # a World has one
    tokens = platform.grants.grant(platform.grants.register("key", "secret", "demo"))
    platform.put("/apps/demo/bert/notes.txt", b"nothing of ours")
    path = config / "minibert-mirror" / FOLDER / TOKENS
    fresh = Tokens(tokens["access_token"], tokens["refresh_token"], time.time() + tokens["expires_in"])
    TokenFile(path, App("key", "secret", "demo")).save(fresh)


def test_the_page_on_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = python_blocks(ROOT / "docs" / "python.md")
    opened = re.search(r"^mirror = .*$", code, re.MULTILINE)
    assert opened is not None
    # In a mirror that holds some of the bytes already, as it does after a while.
    shared = f'{opened[0]}\nmirror.pull("bert-mini@huggingface")\n'
    code = code.replace(opened[0], shared, 1)
    with Server(build_world()) as server:
        log_in_at_baidu(server, tmp_path / "config", monkeypatch)
        names = in_a_demo_mirror(tmp_path, monkeypatch, server, code)
    assert {event.detail["how"] for event in names["mirror"].events(kind="stored")} > {"fetched"}  # type: ignore[attr-defined]
    folder = names["folder"]
    assert isinstance(folder, Path)
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"] == "bert"
    assert names["bad"] == []
    assert names["outcome"].problems == []  # type: ignore[attr-defined]


def test_the_examples_of_both_readmes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(build_world()) as server:
        for number, page in enumerate(("README.md", "README.zh-CN.md")):
            place = tmp_path / str(number)
            place.mkdir()
            names = in_a_demo_mirror(place, monkeypatch, server, python_blocks(ROOT / page))
            folder = names["folder"]
            assert isinstance(folder, Path)
            assert (folder / "vocab.txt").is_file()


def test_the_digest_of_the_page_on_verification_is_ours() -> None:
    code = python_blocks(ROOT / "docs" / "verification.md")
    names: dict[str, object] = {}
    exec(compile(code, "docs", "exec"), names)
    held = {
        "bert.embeddings.LayerNorm.gamma": np.array([1, 1], "<f4"),
        "bert.pooler.dense.weight": np.array([[1, 2], [3, 4]], "<f4").T,
        "cls.seq_relationship.bias": np.array([-0.0, 0.5], "<f4"),
    }
    checkpoint = Checkpoint("torch-zip", tuple(Tensor(name, "F32", array) for name, array in held.items()))
    found = digests(canonical(checkpoint))
    assert [one.leaf for one in found] == names["lines"]
    assert roots(found)["all"] in code
    assert roots(found)["pooler"] in code


def consoles() -> Iterator[str]:
    for page in PAGES:
        yield from re.findall(r"```console\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


def comparable(text: str) -> list[str]:
    for changing, written in CHANGING.items():
        text = re.sub(changing, written, text, flags=re.MULTILINE)
    return text.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("console", dict.fromkeys(consoles()))
def test_the_pages_on_shares_show_what_is_printed(tmp_path: Path, console: str) -> None:
    """Results stand there whole and in order; of what goes to stderr, what stands there is said."""
    world = build_world(0, 1)
    with Server(world) as server:
        here = at_a_share_s_door(tmp_path, server, asks_it=" probe " in console)
        if " pull bert-tiny" not in console:
            here("pull", "bert-tiny@google", "--quiet")
        for command in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
            line, _, shown = command.partition("\n")
            if line.startswith("minibert-mirror "):
                out, err = (comparable(as_at_baidu(text, server, here)) for text in typed(here, line, world))
                assert [told for told in comparable(shown) if told not in err] == out, line


def at_a_share_s_door(folder: Path, server: Server, *, asks_it: bool) -> Command:
    """Return the command in a mirror beside a browser's downloads, an app's folder, and shares under Baidu's address.

    Whoever ``asks_it`` gets the shares' true address: no command asks Baidu here.
    """
    world = server.world
    assert isinstance(world, World)
    catalog = json.dumps(world.catalog(server))
    if not asks_it:
        catalog = catalog.replace(server.url("pan"), "https://pan.baidu.com")
    here = in_mirror(fresh_command(folder), folder / "mirror", server, json.loads(catalog))
    downloads = Path(here.env["HOME"], "Downloads")
    downloads.mkdir()
    for name, content in world.handoffs["9b1x0yJafaTcLa5qBysjEQ"].items():
        world.open.put(f"/apps/minibert/BERT-Tiny/{name}", bytes(content.data))
        if name.endswith(".bin"):
            (downloads / "pytorch_model(1).bin").write_bytes(bytes(content.data))
    world.open.grants.register("key", "secret", "minibert")
    given = {"APP_KEY": "key", "SECRET_KEY": "secret", "APP_NAME": "minibert"}
    bases = {"PAN_BASE": server.url("pan"), "OPENAPI_BASE": server.url("openapi")}
    return here.at(here.cwd, **{f"MINIBERT_MIRROR_BAIDU_{name}": value for name, value in (given | bases).items()})


def typed(here: Command, line: str, world: World) -> tuple[str, str]:
    """Run a line as somebody types it, who also types a login's code at Baidu; return stdout and stderr."""
    words = [word.replace("~", here.env["HOME"]) for word in shlex.split(line)[1:]]
    if words != ["baidu", "login"]:
        done = here(*words)
        return done.out, done.err
    process = here.start(*words)
    assert process.stdout is not None
    code = process.stdout.readline()
    world.open.grants.approve(code.split()[-1])
    out, err = process.communicate(timeout=60)
    return code + out, err


def as_at_baidu(text: str, server: Server, here: Command) -> str:
    """Return what was printed as it would be with the true addresses, in columns of their width, and at home."""
    pan, real = server.url("pan").removeprefix("http://"), "pan.baidu.com"
    if f" {pan}/s/" in text:
        text = text.replace(pan, real).replace("share" + " " * (len(pan) - len(real)), "share", 1)
    text = text.replace(server.url("openapi"), "https://openapi.baidu.com")
    return text.replace(here.env["HOME"], "/home/you")
