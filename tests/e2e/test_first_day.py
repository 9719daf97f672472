"""A first day with the command, against the embedded upstream: every command as a user types it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mirror import Mirror
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests import catalogs
from tests.command import ROOT, Command, fresh_command, in_mirror, program

TINY = ("bert-tiny@huggingface", "bert-tiny@google", "bert-tiny@paddle")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, outside: Server) -> Command:
    """A mirror that has pulled ``TINY``; no test works in it."""
    root = tmp_path_factory.mktemp("template")
    here = in_mirror(fresh_command(root), root / "mirror", outside)
    here("pull", *TINY)
    return here


@pytest.fixture
def pulled(template: Command, command: Command, tmp_path: Path) -> Command:
    """The command in a mirror of its own that has pulled ``TINY``."""
    shutil.copytree(template.cwd, tmp_path / "mirror", symlinks=True)
    return command.at(tmp_path / "mirror", HF_ENDPOINT=template.env["HF_ENDPOINT"])


def blob_files(command: Command) -> list[Path]:
    return [path for path in (command.cwd / "cache" / "blobs").rglob("*") if path.is_file()]


def alter(blob: Path) -> None:
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)


@pytest.mark.parametrize("words", [("pull", "bert-tiny"), ("status",), ("verify",), ("ledger", "log"), ("gc", "--yes")])
def test_a_command_that_has_ended_leaves_the_ledger_in_one_file(pulled: Command, words: tuple[str, ...]) -> None:
    def beside() -> list[str]:
        return sorted(path.name for path in (pulled.cwd / "cache").glob("ledger.*"))

    assert beside() == ["ledger.db", "ledger.head"]
    pulled(*words, code=None)
    assert beside() == ["ledger.db", "ledger.head"]


def test_init_makes_a_mirror_that_is_found_from_below(command: Command, tmp_path: Path) -> None:
    place = tmp_path / "weights"
    made = command("init", str(place))
    assert f"cd {place} && minibert-mirror pull bert-tiny" in made.err
    assert (place / "catalog.json").read_bytes() == (ROOT / "catalog.json").read_bytes()
    below = place / "cache" / "deep"
    below.mkdir()
    assert str(place) in command.at(below)("status").err
    assert command("init", str(place), code=2).err.startswith("error: ")
    other = tmp_path / "other"
    (row,) = command("init", str(other), "--json").rows
    assert row == {"mirror": str(other), "catalog": f"{other}/catalog.json", "cache": f"{other}/cache"}
    assert "48 models" in command.at(place)("catalog", "check").err


def test_a_dry_run_says_everything_and_changes_nothing(here: Command) -> None:
    said = here("pull", "bert-tiny", "--dry-run").out
    assert "bert-tiny@google/uncased_L-2_H-128_A-2.zip" in said
    assert "waiting for you: bert-tiny@baidu-pytorch" in said
    assert "48 artifacts wait for a person" in here("pull", "--all", "--dry-run").out
    assert "to fetch: 19 files" in said
    rows = here("pull", "bert-tiny", "--dry-run", "--json").rows
    assert {"bert-tiny@huggingface/config.json"} <= {row["fetch"] for row in rows if "fetch" in row}
    assert list((here.cwd / "cache").iterdir()) == []


def test_pull_brings_verifies_and_says_so_and_the_second_time_nothing_is_asked(here: Command, outside: Server) -> None:
    first = here("pull", *TINY)
    assert re.match(
        r"14 files came \(6 attested, 5 checked, 3 pinned\), 203.1 KiB in [0-9.]+ s; held before: 0\n", first.out
    )
    assert f"mirror: {here.cwd} (the working directory)" in first.err
    asked = len(outside.requests())
    again = here("pull", *TINY)
    assert again.out == "nothing to do: 14 files are held, 203.1 KiB\n"
    assert len(outside.requests()) == asked
    assert here("pull", *TINY, "--quiet") == type(again)(0, "", "")
    (row,) = here("pull", *TINY, "--json").rows
    assert (row["held"], row["stored"], row["problems"]) == (14, 0, 0)
    # The hub's repository is here byte for byte, under its own names.
    folder = Path(here("path", TINY[0]).out.strip())
    assert isinstance(outside.world, World)
    repository = outside.world.hub.repositories["google/bert_uncased_L-2_H-128_A-2"]
    offered = {path: bytes(file.content.data) for path, file in repository.revisions[repository.refs["main"]].items()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == offered


def test_status_ls_and_why_tell_what_is_held_and_how_well(here: Command) -> None:
    assert "nothing is held yet: minibert-mirror pull bert-tiny" in here("status").err
    here("pull", *TINY)
    table = here("status").out.splitlines()
    assert table[0].split() == ["artifact", "held", "size", "evidence", "revision"]
    assert table[1].split() == [TINY[0], "9/9", "106.8", "KiB", "6", "attested,", "3", "pinned", "30b0a37ccaaa"]
    # Columns stand under their heads.
    assert all(line[table[0].index("evidence") - 1] == " " for line in table)
    rows = {row["artifact"]: row for row in here("status", "--json").rows}
    assert rows[TINY[0]]["levels"] == {"attested": 6, "pinned": 3}
    assert len(here("status", "--all", "--json").rows) > 100

    waiting = here("handoff", "bert-tiny").out
    assert re.search(r"^bert-tiny@baidu-pytorch +http\S+19b1x0yJafaTcLa5qBysjEQ\?pwd=lnyy +lnyy ", waiting, re.M)
    assert [row["code"] for row in here("handoff", "bert-tiny", "--json").rows] == ["lnyy", "s5sz"]

    listed = here("ls", TINY[0], "--json").rows
    assert len(listed) == len(here("ls", TINY[0]).out.splitlines()) == 9
    paths = here("ls", TINY[0], "--paths").out.split()
    for row, path in zip(listed, paths, strict=True):
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == row["sha256"]

    told = here("why", f"{TINY[0]}/vocab.txt").out
    for word in ("pinned: the sha256 equals a pin", "offered at", "promised", "agrees", "etag", "stored, fetched from"):
        assert word in told
    assert here("why", listed[0]["sha256"][:12], "--json").rows[0]["path"] == ".gitattributes"
    archive = here("why", "bert-tiny@google").out
    assert re.search(r"member +vocab.txt  [0-9.]+ KiB  checked", archive)
    inside = here("why", "bert-tiny@google/uncased_L-2_H-128_A-2.zip!vocab.txt").out.splitlines()
    assert inside[0].endswith("!vocab.txt")
    assert inside[1].split()[:2] == ["evidence", "checked:"]
    unknown = here("why", "bert-tiny@huggingface/vocab.tx", code=2).err
    assert "nearest: bert-tiny@huggingface/vocab.txt" in unknown
    assert "hint: `minibert-mirror ls --missing` lists every file, `minibert-mirror status` every artifact" in unknown
    member = here("why", "bert-tiny@google/uncased_L-2_H-128_A-2.zip!vocab", code=2).err
    assert "hint: `minibert-mirror why bert-tiny@google/uncased_L-2_H-128_A-2.zip` lists its members" in member


def test_an_altered_blob_is_found_quarantined_and_fetched_again(here: Command) -> None:
    here("pull", TINY[0])
    assert "9 blobs intact, 0 not" in here("verify").err
    rows = {row["path"]: row for row in here("ls", "--json").rows}
    alter(Path(rows["vocab.txt"]["blob"]))
    # Size and presence are as they were: only reading finds it.
    here("verify", "--level", "stat")
    found = here("verify", code=4)
    assert found.out == "altered  bert-tiny@huggingface/vocab.txt\n"
    assert "1 blob is not what was recorded" in found.err
    assert not Path(rows["vocab.txt"]["blob"]).exists()
    (case,) = (here.cwd / "cache" / "quarantine").iterdir()
    assert (case / "evidence.json").exists()
    assert {row["path"] for row in here("ls", "--json").rows} == set(rows) - {"vocab.txt"}

    assert here("pull", TINY[0]).out.startswith("1 file came (1 pinned)")
    assert here("verify", "--json").rows[0]["status"] == "intact"
    assert "verified" in here("why", f"{TINY[0]}/vocab.txt").out
    Path(rows["config.json"]["blob"]).unlink()
    assert here("verify", "--level", "stat", code=4).out == "missing  bert-tiny@huggingface/config.json\n"
    here("pull", TINY[0])
    here("verify", "--quiet")


def test_a_lock_gives_the_same_bytes_elsewhere_and_nothing_else(
    pulled: Command, outside: Server, tmp_path: Path
) -> None:
    here = pulled
    assert "pinned 14 files of 3 artifacts" in here("lock").err
    lock = here.cwd / "catalog.lock.json"
    other = in_mirror(here, tmp_path / "other", outside)
    (other.cwd / "catalog.lock.json").write_bytes(lock.read_bytes())
    other("pull", "--locked", *TINY)
    assert {path.name for path in blob_files(other)} == {path.name for path in blob_files(here)}
    assert {row["level"] for row in other("ls", "--json").rows} == {"pinned"}

    # What would be pinned is said without a change.
    before = lock.read_bytes()
    assert here("lock", "source=google", "--dry-run", "--json").rows == [{"artifact": "bert-tiny@google", "files": 1}]
    assert "bert-tiny@google: 1 file" in here("lock", "-n").out
    assert (here("lock", "-n", "-q").err, lock.read_bytes()) == ("", before)

    refused = other("pull", "--locked", "bert-mini@google", "bert-tiny@google", code=4)
    assert "failed bert-mini@google/uncased_L-4_H-256_A-4.zip: has no pin, and --locked was asked for" in refused.err
    assert "1 did not come: 1 unpinned" in refused.err
    assert not other("ls", "bert-mini@google").out
    assert [row["artifact"] for row in here("lock", "bert-tiny@google", "--json").rows] == ["bert-tiny@google"]


def test_gc_says_first_and_deletes_what_nobody_needs(here: Command) -> None:
    here("pull", TINY[0])
    assert "nothing to delete: every blob is needed" in here("gc").err
    orphan = b"nobody's"
    name = hashlib.sha256(orphan).hexdigest()
    path = here.cwd / "cache" / "blobs" / "sha256" / name[:2] / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orphan)
    new = here("gc").err
    assert "every blob is needed" not in new
    assert "1 blob that nothing needs is kept for now: it is less than a minute old" in new
    os.utime(path, (0, 0))
    said = here("gc", "--dry-run")
    assert said == here("gc")
    assert here("gc", "--quiet").err == ""
    assert "say one of them" in here("gc", "--yes", "--dry-run", code=2).err
    assert name in said.out
    assert "minibert-mirror gc --yes" in said.err
    assert path.exists()
    assert here("gc", "--yes", "--json").rows[0]["deleted"] is True
    assert not path.exists()
    assert len(blob_files(here)) == 9
    here("verify", "--quiet")


def test_du_is_what_du_says(pulled: Command) -> None:
    here = pulled
    (ours,) = here("du", "--json").rows
    cache = here.cwd / "cache"
    real = int(subprocess.run(["du", "-sb", cache], capture_output=True, text=True, check=True).stdout.split()[0])
    directories = sum(path.stat().st_size for path in (cache, *cache.rglob("*")) if path.is_dir())
    assert ours["total"] == real - directories
    assert ours["blobs"] == sum(path.stat().st_size for path in blob_files(here))
    assert re.search(r"^ +[0-9.]+ KiB  blobs$", here("du").out, re.M)


def test_the_ledger_can_be_verified_read_and_exported(here: Command) -> None:
    here("pull", TINY[0])
    assert re.fullmatch(r"sound: \d+ events, head [0-9a-f]{64}\n", here("ledger", "verify").out)
    head = here("ledger", "head").out.strip()
    assert re.fullmatch(r"\d+ [0-9a-f]{64}", head)
    log = here("ledger", "log").out
    assert re.search(r"stored +bert-tiny@huggingface/config.json  fetched, pinned, 427 B$", log, re.M)
    assert re.search(r"pulled +mirror  9 fetched, 0 here already, 0 did not come$", log, re.M)
    rows = here("ledger", "export").out.splitlines()
    assert json.loads(rows[-1])["hash"] == head.split()[1]
    here("pull", "bert-tiny@google")
    here("ledger", "verify", "--head", head)
    assert "artifact" not in here("ledger", "log", "--kind", "failed").out


def test_status_says_that_the_ledger_is_gone(here: Command) -> None:
    here("pull", TINY[1])
    ledger = here.cwd / "cache" / "ledger.db"
    assert "ledger" not in here("status").err
    ledger.unlink()
    said = here("status").err
    assert "the ledger is gone, though ledger.head names" in said
    assert "nothing is held yet" not in said
    assert "ledger.head names" in here("ledger", "head", code=7).err
    (row,) = here("ledger", "verify", "--json", code=7).rows
    assert (row["sound"], len(row["problems"])) == (False, 1)


def test_doctor_and_completion_answer_without_a_mirror(command: Command) -> None:
    said = command("doctor", "--offline").out
    assert "ok    disk:" in said
    assert "  sha256: " in said
    assert "ok    " not in command("doctor", "--offline", "--quiet").out
    assert {row["topic"] for row in command("doctor", "--offline", "--json").rows} >= {"python", "disk", "store"}
    for shell, sign in (
        ("bash", "complete -o nosort -F"),
        ("zsh", "#compdef minibert-mirror"),
        ("fish", "complete --no"),
    ):
        assert sign in command("completion", shell).out
    assert not (Path(command.env["XDG_DATA_HOME"]) / "minibert-mirror").exists()


@pytest.mark.parametrize(
    ("endpoint", "health", "words"),
    [
        ("http://hub.example", "note", "will not be sent"),
        ("https://hub.example", "ok", "a token is set"),
        ("http://127.0.0.1:1", "ok", "a token is set"),
    ],
)
def test_doctor_says_where_a_token_is_kept_back(command: Command, endpoint: str, health: str, words: str) -> None:
    there = command.at(command.cwd, HF_ENDPOINT=endpoint, HF_TOKEN="hf_secret")
    (row,) = [row for row in there("doctor", "--offline", "--json").rows if row["topic"] == "hub"]
    assert row["health"] == health
    assert row["text"].startswith(f"endpoint {endpoint}, ")
    assert words in row["text"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pull bert-ti", ["bert-tiny"]),
        ("pull 2/128 bert-mini@goo", ["google"]),
        ("pull bert-mini@goo --f", ["--format", "--from"]),
        ("pull family=tiny", ["tinybert"]),
        ("pull lang=zh fam", ["family="]),
        ("pull --format safetensors,pa", ["safetensors,paddle"]),
        ("pull --source goo", ["google"]),
        ("pull --source=goo", ["google"]),
        ("catalog show 2/51", ["2/512"]),
        ("ledger log --kind list", ["listed"]),
        ("urls --as meta", ["metalink"]),
        ("verify --level for", ["forward"]),
        ("pull no-such", []),
    ],
)
def test_a_shell_completes_names_and_values(command: Command, line: str, offered: list[str]) -> None:
    called = command.cwd / "minibert-mirror"
    called.write_text(f'#!/bin/sh\nexec {program()} "$@"\n')
    called.chmod(0o755)
    script = "\n".join(
        [
            "complete() { true; }; compopt() { true; }",
            command("completion", "bash").out,
            f'COMP_LINE="minibert-mirror {line}"; COMP_POINT=${{#COMP_LINE}}',
            f"_minibert_mirror_completion {called}",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        ]
    )
    done = subprocess.run(
        ["bash", "-c", script], env=command.env, cwd=command.cwd, capture_output=True, text=True, check=True
    )
    assert (done.stdout.split(), done.stderr) == (offered, "")


def test_doctor_tries_the_hosts_that_a_pull_would_ask(command: Command, tmp_path: Path) -> None:
    with Server(World()) as hub:
        place = tmp_path / "mirror"
        command("init", str(place))
        # Whatever has no address here: the loopback hub alone is reached.
        there = command.at(place, HF_ENDPOINT=hub.url("hub"), ALL_PROXY="http://127.0.0.1:9")
        rows = {row["topic"]: row for row in there("doctor", "--json", code=5).rows}
        assert rows[hub.url("hub").removeprefix("http://")]["text"].startswith("answers ")
        assert "huggingface.co" not in rows
        assert {"storage.googleapis.com", "bj.bcebos.com", "paddlenlp.bj.bcebos.com"} <= rows.keys()
        assert hub.requests()


def test_completion_offers_the_commands(command: Command) -> None:
    there = command.at(
        command.cwd,
        _MINIBERT_MIRROR_COMPLETE="bash_complete",
        COMP_WORDS="minibert-mirror p",
        COMP_CWORD="1",
    )
    assert there().out.split() == ["plain,pull", "plain,path", "plain,probe"]


@pytest.mark.slow
def test_a_demo_begins_anew_in_its_own_folder(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    (first,) = command("demo", "--dir", str(folder), "--json").rows
    assert first["waiting"] == 48
    again = command("demo", "--dir", str(folder))
    assert "48 Baidu Pan shares" in again.out
    assert f"removed an earlier demo's files from {folder}" in again.err
    assert (first["corruption"], first["second_pull_fetched"]) == ("caught", 0)
    assert "held" in command("--mirror", str(folder), "status").err
    command("--mirror", str(folder), "catalog", "add", "https://host/mine.bin", "--id", "mine")
    assert "models were added" in command("demo", "--dir", str(folder), code=2).err


def test_a_demo_takes_nobodys_folder(here: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    here("init", str(folder))
    before = (folder / "catalog.json").read_bytes()
    assert "catalog.json is there already" in here("demo", "--dir", str(folder), code=2).err
    (folder / "catalog.json").unlink()
    assert "a cache/ that is not a demo's" in here("demo", "--dir", str(folder), code=2).err
    (folder / "catalog.json").write_bytes(before[:100])
    here("demo", "--dir", str(folder), code=2)
    assert (folder / "catalog.json").read_bytes() == before[:100]
    assert "error: /proc/zz" in here("demo", "--dir", "/proc/zz", code=6).err


def test_ones_own_repository_and_address_get_the_same_treatment(command: Command, tmp_path: Path) -> None:
    world = World()
    world.add_hub_file("me/mine", "main", "config.json", b"{}")
    tagged = world.add_hub_file("me/mine", "v1", "config.json", b'{"v": 1}')
    world.add_object("plain", "/data/extra.bin", b"extra bytes")
    with Server(world) as server:
        here = in_mirror(command, tmp_path / "mirror", server, catalogs.catalog(catalogs.model("nothing")))
        here("catalog", "add", "hf:me/mine")
        here("catalog", "add", "hf:me/mine@v1", "--id", "tagged")
        url = server.url("plain", "/data/extra.bin")
        added = here("catalog", "add", url, "--id", "extra", "--sha256", hashlib.sha256(b"extra bytes").hexdigest())
        assert "next: minibert-mirror pull extra" in added.err
        here("catalog", "check")
        here("pull", "me/mine", "tagged", "extra")
        rows = {(row["artifact"], row["path"]): row for row in here("ls", "--json").rows}
        assert rows["extra@http", "extra.bin"]["level"] == "pinned"
        assert rows["tagged@huggingface", "config.json"]["revision"] == tagged
        assert Path(rows["tagged@huggingface", "config.json"]["blob"]).read_bytes() == b'{"v": 1}'
        assert Path(rows["me/mine@huggingface", "config.json"]["blob"]).read_bytes() == b"{}"
        assert "+ models/extra" in here("catalog", "diff").out


def test_a_file_or_folder_of_this_machine_is_pulled_like_any_other(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"own bytes")
    (tmp_path / "mirror" / "cache").mkdir(parents=True)
    (tmp_path / "mirror" / "catalog.json").write_text(catalogs.text(catalogs.model("nothing")))
    here = command.at(tmp_path / "mirror")
    here("catalog", "add", (folder / "a.bin").as_uri(), "--sha256", hashlib.sha256(b"own bytes").hexdigest())
    # A folder is known as one without its last slash as well.
    here("catalog", "add", folder.as_uri(), "--id", "whole")
    here("catalog", "check")
    here("pull", "a", "whole")
    rows = {row["artifact"]: row for row in here("ls", "--json").rows}
    assert {name: (row["path"], row["level"]) for name, row in rows.items()} == {
        "a@file": ("a.bin", "pinned"),
        "whole@folder": ("a.bin", "first-seen"),
    }
    assert here("pull", "a", "--update").out.startswith("nothing to do: 1 file is held")
    assert here("urls", "a").out == f"{(folder / 'a.bin').as_uri()}\n"


def test_update_shows_a_moved_main_and_until_then_nothing_moves(command: Command, tmp_path: Path) -> None:
    world = World()
    before = world.add_hub_file("o/r", "main", "config.json", b"{}")
    world.add_hub_file("o/r", "main", "old.txt", b"old")
    world.add_hub_file("o/r", "main", "model.safetensors", b"weights")
    with Server(world) as server:
        catalog = catalogs.catalog(catalogs.model("mine", catalogs.hub("o/r")))
        here = in_mirror(command, tmp_path / "mirror", server, catalog)
        here("pull", "mine")
        # The catalog names no commit: what is held is known from the ledger.
        (row,) = here("status", "--json").rows
        assert (row["revision"], row["held"]) == (before, 3)
        assert before[:12] in here("status").out
        after = "b" * 40
        for path, data in (("config.json", b"{ }"), ("new.txt", b"new"), ("model.safetensors", b"weights")):
            world.add_hub_file("o/r", after, path, data)
        world.repository("o/r").move("main", after)

        assert here("pull", "mine").out.startswith("nothing to do: 3 files are held")
        said = here("pull", "mine", "--update").out.splitlines()
        assert said[0] == f"mine@huggingface: {before[:12]} → {after[:12]}, 1 added, 1 changed, 1 removed"
        # The weights are the same bytes: they are not fetched again.
        assert not [e for e in server.requests() if e.path.endswith("safetensors") and after in e.path and e.sent]
        assert {row["revision"] for row in here("ls", "--json").rows} == {after}
        assert here("pull", "mine", "--update").out.startswith("nothing to do: 3 files are held")
        (event,) = [json.loads(line) for line in here("ledger", "log", "--kind", "updated", "--json").out.splitlines()]
        assert (event["detail"]["added"], event["detail"]["removed"]) == (["new.txt"], ["old.txt"])


def test_format_narrows_a_repository_and_later_widens_it(here: Command, outside: Server) -> None:
    here("pull", TINY[0], "--format", "safetensors")
    narrow = {row["path"] for row in here("ls", "--json").rows}
    assert {"model.safetensors", "config.json", "vocab.txt"} <= narrow
    assert "pytorch_model.bin" not in narrow
    assert here("pull", TINY[0], "--format", "safetensors").out.startswith("nothing to do")
    outside.journal.clear()
    assert here("pull", TINY[0]).out.startswith("2 files came")
    assert {row["path"] for row in here("ls", "--json").rows} == narrow | {"flax_model.msgpack", "pytorch_model.bin"}
    assert len([e for e in outside.requests() if "/resolve/" in e.path and e.status == 302]) == 2


def test_a_rate_limit_is_kept(command: Command, tmp_path: Path) -> None:
    world = World()
    world.add_object("plain", "/big.bin", bytes(1_000_000))
    with Server(world) as server:
        source = catalogs.http(catalogs.file("big.bin", server.url("plain", "/big.bin")))
        here = in_mirror(command, tmp_path / "mirror", server, catalogs.catalog(catalogs.model("big", source)))
        begun = time.monotonic()
        here("pull", "big", "--limit-rate", "2M")
        assert time.monotonic() - begun >= 0.3
        assert "500k" in here("pull", "big", "--limit-rate", "fast", code=2).err


def test_mistakes_are_answered_with_what_would_be_right(here: Command) -> None:
    wrong = here("pull", "bert-tny", code=2).err
    assert "error: no model 'bert-tny'; nearest: bert-tiny" in wrong
    assert "minibert-mirror catalog list" in wrong
    assert "Did you mean pull?" in here("pul", code=2).err
    assert "or say --all" in here("pull", code=2).err
    assert "give names or --all, not both" in here("pull", "--all", "bert-tiny", code=2).err
    narrowed = here("pull", "bert-tiny", "--format", "pytorch,safetensor", code=2).err
    assert "no weight format 'safetensor'; nearest: safetensors" in narrowed
    assert not blob_files(here)
    assert "nothing of bert-tiny is held" in here("path", "bert-tiny", code=2).err
    assert "hint: nothing was pulled yet" in here("why", "zzz", code=2).err
    assert "is no mirror" in here("--mirror", "/nowhere", "status", code=2).err
    offline = here("pull", "bert-tiny@google", "--offline", code=5).err
    assert "failed bert-tiny@google: was never listed, and --offline forbids to ask for it" in offline


def test_what_waits_for_a_person_is_counted_alike_everywhere(here: Command) -> None:
    assert "48 artifacts wait for a person: `minibert-mirror handoff`" in here("pull", "kind=baidu-pan").out
    assert "48 artifacts wait for a person, and so do 2 bundles of the same: " in here("status").err
    assert len(here("handoff", "--all", "--json").rows) == 48 + 2

    unpublished = "little-berts-pytorch-all@baidu-pytorch"
    never = f"{unpublished} was never published: there is no address to fetch it from"
    alone = here("pull", "little-berts-pytorch-all").out
    assert never in alone
    assert "extraction codes" not in alone
    both = here("pull", "little-berts-pytorch-all", "little-berts-tensorflow-all").out
    assert never in both
    assert both.count("waiting for you: ") == both.count("waiting for you: little-berts-tensorflow-all@") == 1
    assert never in here("pull", "-n", "little-berts-pytorch-all").out
    # Nobody needs a bundle: status and handoff say that nothing waits where nothing else does.
    assert "for a person" not in here("status", "kind=bundle").err
    assert "nothing waits for a person" in here("handoff", "kind=bundle").err
    assert re.search(f"^{unpublished} .*was never published", here("status", "kind=bundle").out, re.M)


def test_a_pull_lists_what_waits_with_link_code_what_should_come_and_the_command(here: Command) -> None:
    told = here("pull", "bert-tiny@baidu-pytorch", "bert-tiny@google")
    (share,) = here("handoff", "bert-tiny@baidu-pytorch", "--json").rows
    at = told.out.splitlines().index("waiting for you: bert-tiny@baidu-pytorch")
    assert told.out.splitlines()[at + 1 :] == [
        f"    {share['url']}  code lnyy",
        "    should come: pytorch, 39 to 46 tensors, 16.1 KiB to 4.0 MiB",
        "when it has come: minibert-mirror ingest ~/Downloads",
    ]
    assert share["url"].endswith("/s/19b1x0yJafaTcLa5qBysjEQ?pwd=lnyy")
    assert (share["command"], share["expected"]["tensors"]) == ("minibert-mirror ingest ~/Downloads", [39, 46])
    assert here("pull", "bert-tiny", "--json").rows[-1]["waiting"][0] == share
    assert share in [row.get("waiting") for row in here("pull", "bert-tiny", "--dry-run", "--json").rows]
    assert here("pull", "bert-tiny@baidu-pytorch", "--quiet").out == ""
    # Many are counted: each has its place in the list of what waits.
    many = here("pull", "source=baidu-pytorch").out
    assert "24 artifacts wait for a person: `minibert-mirror handoff` has links" in many
    assert many.endswith("then: minibert-mirror ingest ~/Downloads\n")
    assert len(here("pull", "source=baidu-pytorch", "--json").rows[-1]["waiting"]) == 24


def test_a_share_whose_copy_is_here_waits_for_nobody(here: Command, outside: Server, tmp_path: Path) -> None:
    assert isinstance(outside.world, World)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, content in outside.world.handoffs["9b1x0yJafaTcLa5qBysjEQ"].items():
        (copy / name).write_bytes(bytes(content.data))
    here("ingest", str(copy))
    told = here("pull", "bert-tiny@baidu-pytorch", "--strict")
    assert "waiting" not in told.out
    assert here("pull", "bert-tiny@baidu-pytorch", "--json").rows[-1]["waiting"] == []
    assert "wait " not in here("pull", "bert-tiny@baidu-pytorch", "--dry-run").out
    left = here("pull", "bert-tiny", "--json", "--strict", code=8).rows[-1]["waiting"]
    assert [one["artifact"] for one in left] == ["bert-tiny@baidu-tensorflow"]


def test_strict_tells_by_its_exit_code_that_a_person_is_waited_for(here: Command) -> None:
    here("pull", "bert-tiny@google", "bert-tiny@baidu-pytorch")
    strict = here("pull", "bert-tiny@google", "bert-tiny@baidu-pytorch", "--strict", code=8)
    assert "waiting for a person: bert-tiny@baidu-pytorch" in strict.err
    here("pull", "bert-tiny@google", "--strict")


def test_ones_own_mirror_is_used_and_named_where_there_is_no_other(command: Command, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    own = Path(command.env["XDG_DATA_HOME"]) / "minibert-mirror"
    world = World()
    with Server(world) as server:
        there = command.at(elsewhere, HF_ENDPOINT=server.url("hub"))
        tried = there("pull", "bert-tiny@huggingface", code=5)
        assert f"mirror: {own} (your own mirror, since none was found here or above)" in tried.err
        there("catalog", "add", server.url("plain", "/x.bin"), "--id", "x")
        world.add_object("plain", "/x.bin", b"x")
        there("pull", "x")
        assert (own / "cache" / "ledger.db").exists()
        place = tmp_path / "named"
        command("init", str(place))
        assert str(place) in there.at(elsewhere, MINIBERT_MIRROR=str(place))("status").err
        assert "MINIBERT_MIRROR: " in there.at(elsewhere, MINIBERT_MIRROR="/nowhere")("status", code=2).err
        assert str(place) in there("--mirror", str(place), "status").err


@pytest.mark.parametrize(
    "words", ["urls --all", "ls", "status --all", "catalog list", "ledger export", "why config.json", "--help"]
)
def test_a_reader_that_has_read_enough_may_go(pulled: Command, words: str) -> None:
    process = pulled.start(*words.split())
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), said) == (0, "")


def test_every_json_output_is_one_object_a_line(pulled: Command) -> None:
    here = pulled
    for words in (
        ("pull", *TINY, "--update"),
        ("status",),
        ("ls",),
        ("path", TINY[0]),
        ("urls", "bert-tiny"),
        ("why", TINY[0]),
        ("verify",),
        ("lock",),
        ("gc",),
        ("du",),
        ("doctor", "--offline"),
        ("catalog", "list"),
        ("catalog", "show", "bert-tiny"),
        ("catalog", "add", "https://host/x.bin", "--id", "x"),
        ("ledger", "verify"),
        ("ledger", "head"),
        ("ledger", "log"),
        ("ledger", "export"),
    ):
        done = here(*words, "--json")
        assert all(isinstance(row, dict) for row in done.rows), words
        assert done.rows or words == ("gc",), words
    failed = here("pull", "bert-mini@google", "--offline", "--json", code=5)
    assert failed.rows[0]["error"] == "OfflineError"


def test_a_quiet_command_makes_no_remarks(here: Command, tmp_path: Path) -> None:
    here("init", str(tmp_path / "quiet"), "--quiet")
    here("pull", *TINY, "--quiet")
    for words in (
        "status",
        "gc",
        "lock",
        "verify",
        "urls bert-tiny --as aria2",
        "catalog check",
        "catalog diff",
        "catalog add https://host/x.bin --id x",
        "ledger verify",
        "ledger export --out out.jsonl",
    ):
        assert here(*words.split(), "--quiet").err == "", words


def test_the_package_runs_as_a_module_and_tells_its_version(command: Command) -> None:
    from mirror import __version__

    done = subprocess.run(
        [sys.executable, "-m", "mirror", "--version"],
        env={**command.env, "PYTHONPATH": str(ROOT)},
        cwd=command.cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"minibert-mirror, version {__version__}\n"


def test_the_readme_s_python_runs(here: Command, outside: Server) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    script = f"{example}\nprint(sorted(path.name for path in folder.iterdir()))\n"
    env = {**here.env, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, cwd=here.cwd, capture_output=True, text=True, check=True
    )
    assert "'model.safetensors'" in done.stdout


def test_the_library_does_what_the_command_does(here: Command, outside: Server) -> None:
    mirror = Mirror.open(here.cwd, environ={"HF_ENDPOINT": outside.url("hub")})
    folder = mirror.pull(TINY[0])
    assert folder == mirror.path(TINY[0]) == here.cwd / "cache" / "trees" / "bert-tiny" / "huggingface"
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"
    (status,) = mirror.status(TINY[0])
    assert (status.held, status.files, status.levels) == (9, 9, {"attested": 6, "pinned": 3})
    assert [event.kind for event in mirror.events()][:2] == ["opened", "listed"]
    assert len(list(mirror.events(kind="stored"))) == 9
    assert here("path", TINY[0]).out.strip() == str(folder)


@pytest.mark.parametrize("form", ["plain", "aria2", "metalink"])
def test_urls_prints_what_the_catalog_knows(here: Command, outside: Server, form: str) -> None:
    out = here("urls", "bert-tiny@google", "--as", form).out
    assert outside.url("google", "/bert_models/2020_02_20/uncased_L-2_H-128_A-2.zip") in out
