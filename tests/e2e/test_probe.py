"""`minibert-mirror probe` as a user meets it, and that nothing else ever asks Baidu Pan."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from mirror.catalog import builtin_catalog_text
from mirror.upstream.server import Server, dead_port
from mirror.upstream.stock import shipped_catalog
from mirror.upstream.world import build_world
from tests.command import Command, fresh_command, in_mirror
from tests.shares_world import CODE, mirror_of, name, share, shared, surl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

#: Without a code and a folder: three requests, so two seconds.
QUICK: dict[str, Any] = {"code": None, "tree": {"a.bin": 3, "evil\x1b[31m/..": 4}}
DEAD, WRONG, CAPTCHA, ALIVE = range(4)


@pytest.fixture
def server() -> Iterator[Server]:
    shares = (
        share(DEAD, state="gone"),
        share(WRONG, code="abcd"),
        share(CAPTCHA, state="captcha"),
        share(ALIVE, **QUICK),
    )
    with shared(*shares) as running:
        yield running


@pytest.fixture
def here(server: Server, tmp_path: Path) -> Command:
    mirror_of(tmp_path / "m", server, range(4))
    return fresh_command(tmp_path).at(tmp_path / "m")


def unreachable(folder: Path) -> None:
    catalog = json.loads((folder / "catalog.json").read_text(encoding="utf-8"))
    for model in catalog["models"]:
        model["sources"][0]["url"] = f"http://127.0.0.1:{dead_port()}/s/1abc"
    (folder / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")


def test_dead_wrong_code_captcha_and_network_are_four_endings(here: Command) -> None:
    endings = {}
    for number, word in ((ALIVE, "alive"), (DEAD, "dead"), (WRONG, "wrong code"), (CAPTCHA, "captcha")):
        done = here("probe", name(number), "--json", code=None)
        (row,) = done.rows
        assert (row["outcome"], row["share"], row["cached"]) == (word, surl(number), False)
        endings[word] = done.code
    unreachable(here.cwd)
    done = here("probe", name(ALIVE), "--json", "--again", code=None)
    endings[done.rows[0]["outcome"]] = done.code
    assert endings == {"alive": 0, "dead": 4, "wrong code": 3, "captcha": 8, "network": 5}


def test_what_is_settled_decides_how_a_run_ends_before_what_is_not(here: Command) -> None:
    done = here("probe", "--json", code=4)
    assert [row["outcome"] for row in done.rows] == ["dead", "wrong code", "captcha", "not asked"]
    assert "1 share dead" in done.err
    # The two that are settled are known now, and soon after a captcha nobody is asked.
    assert [row["cached"] for row in here("probe", "--json", code=4).rows] == [True, True, False, False]
    here("probe", name(WRONG), code=3)
    here("probe", name(ALIVE), code=8)


def test_a_table_for_people_says_what_is_unofficial_and_prints_nothing_odd(here: Command) -> None:
    done = here("probe", name(ALIVE))
    assert "unofficial" in done.err
    assert f"1: {name(ALIVE)}: alive" in done.err
    assert "a.bin 3 B" in done.out
    assert "evil�[31m�.. 4 B" in done.out
    assert "\x1b" not in done.out
    again = here("probe", name(ALIVE), "--quiet")
    assert "(known)" in again.out
    assert again.err == ""


def test_a_dry_run_asks_nobody(here: Command, server: Server) -> None:
    rows = here("probe", "--dry-run", "--json").rows
    assert [row["why"] for row in rows] == ["would be asked"] * 4
    assert "would be asked" in here("probe", "-n").out
    assert server.requests() == []
    assert not (here.cwd / "cache" / "ledger.db").exists()


def test_where_there_is_nobody_to_ask_the_error_comes_alone(here: Command) -> None:
    for selector in ("nobody", "kind=hub"):
        done = here("probe", selector, code=2)
        assert done.err.startswith("error: "), selector


def test_a_handoff_shows_what_was_found_and_when(here: Command, tmp_path: Path) -> None:
    assert "probed" not in here("handoff").out
    here("probe", name(ALIVE), name(DEAD), code=4)
    shown = here("handoff").out
    assert "a.bin 3 B" in shown
    rows = {row["artifact"]: row["probed"] for row in here("handoff", "--json").rows}
    assert rows[name(DEAD)]["outcome"] == "dead"
    assert {file["path"]: file["size"] for file in rows[name(ALIVE)]["files"]} == {"a.bin": 3, "evil�[31m�..": 4}
    assert all(isinstance(file["fs_id"], str) for file in rows[name(ALIVE)]["files"])
    assert rows[name(WRONG)] is None
    day = rows[name(ALIVE)]["at"][:10]
    assert f"alive {day}" in shown
    assert f"dead {day}" in shown
    here("handoff", "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "已失效" in page
    assert "a.bin 3 B" in page


def test_ctrl_c_ends_it_at_once_and_what_was_found_stays(here: Command) -> None:
    process = here.start("probe", name(DEAD), name(ALIVE), "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["outcome"] == "dead"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (process.returncode, time.monotonic() - begun < 2) == (130, True)
    assert [row["cached"] for row in here("probe", name(DEAD), "--json", code=4).rows] == [True]


def test_a_probe_that_was_killed_is_in_nobody_s_way(here: Command) -> None:
    process = here.start("probe", name(DEAD), name(ALIVE), "--json")
    assert process.stdout is not None
    process.stdout.readline()
    assert "probe: " in here("probe", name(WRONG), code=6).err
    process.kill()
    process.communicate(timeout=30)
    here("gc", "--json")
    here("du", "--json")
    assert [row["outcome"] for row in here("probe", name(DEAD), name(CAPTCHA), "--json", code=4).rows] == [
        "dead",
        "captcha",
    ]


def test_the_ledger_is_sound_and_has_no_code_in_it(here: Command) -> None:
    here("probe", name(WRONG), code=3)
    assert "sound" in here("ledger", "verify").out
    assert CODE not in here("ledger", "log", "--json").out


# --- nothing else asks Baidu Pan ---------------------------------------------------------------

#: Runs the command line, and writes down every name that is looked up and every address that is connected to.
_WATCHED = """
import sys
log = open(sys.argv.pop(1), "a", buffering=1)
def hook(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        log.write(f"{arguments[0]}\\n")
    elif event in ("socket.connect", "socket.sendto"):
        log.write(f"{arguments[1]}\\n")
sys.addaudithook(hook)
from mirror.cli import main
main()
"""


def contacted(here: Command, log: Path, *words: str, code: int = 0) -> str:
    """Run a command and return everything that it looked up or connected to."""
    log.write_text("", encoding="utf-8")
    command = [sys.executable, "-c", _WATCHED, str(log), *words]
    done = subprocess.run(command, cwd=here.cwd, env=here.env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    return log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def few() -> Mapping[str, Any]:
    """The shipped catalog's first two models, with all their sources, and its bundles."""
    catalog = shipped_catalog()
    return {**catalog, "models": catalog["models"][:2]}


def test_a_pull_of_everything_a_handoff_and_an_ingest_never_ask_baidu_pan(
    command: Command, tmp_path: Path, few: Mapping[str, Any]
) -> None:
    world = build_world(catalog=few)
    with Server(world) as server:
        here = in_mirror(command, tmp_path / "mirror", server)
        downloads = tmp_path / "downloads"
        downloads.mkdir()
        surl = next(iter(world.handoffs))
        for path, content in world.handoffs[surl].items():
            (downloads / path).write_bytes(bytes(content.data))
        log = tmp_path / "contacted"
        pulled = contacted(here, log, "pull", "--all")
        assert str(server.port("google")) in pulled, "the hook sees what is contacted"
        there = [contacted(here, log, *words) for words in (("handoff",), ("ingest", str(downloads)), ("status",))]
        assert there == ["", "", ""]
        assert f", {server.port('pan')})" not in pulled
        assert "baidu.com" not in pulled
        assert "pan" not in {exchange.host for exchange in server.requests()}


def test_the_catalog_s_own_shares_are_not_looked_up_either(command: Command, tmp_path: Path) -> None:
    (tmp_path / "m" / "cache").mkdir(parents=True)
    (tmp_path / "m" / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    (tmp_path / "file.bin").write_bytes(b"nothing of ours")
    here = command.at(tmp_path / "m")
    for words in (
        ("handoff",),
        ("ingest", str(tmp_path / "file.bin")),
        ("probe", "--dry-run"),
        ("pull", "kind=baidu-pan"),
    ):
        assert contacted(here, tmp_path / "contacted", *words) == "", words


def test_a_probe_looks_up_the_real_host_where_the_catalog_names_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "m" / "cache").mkdir(parents=True)
    (tmp_path / "m" / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    log = tmp_path / "contacted"
    # A proxy that nobody runs keeps this on the machine, whatever network there is.
    here = command.at(tmp_path / "m", HTTPS_PROXY=f"http://127.0.0.1:{dead_port()}")
    asked = contacted(here, log, "probe", "bert-tiny@baidu-pytorch", code=5)
    assert "127.0.0.1" in asked
    assert "baidu" not in asked
