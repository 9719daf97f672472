"""The installed command and the user's own disk at Baidu: set up, log in, look, bring home."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from mirror.cli import Workspace
from mirror.cli.baidu import baidu
from tests.command import Command, fresh_command
from tests.open_world import FOLDER, KEY, NAME, SECRET, Stand, opened, weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WANTED = {f"bert-tiny@baidu-pytorch/{name}" for name in weights()}


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with opened(tmp_path) as made:
        made.put(weights())
        yield made


def command(stand: Stand, tmp_path: Path) -> Command:
    """The command in the stand's mirror, as processes of today see it; the app is set up by a file."""
    stand.clock.now = time.time()
    folder = stand.home / "minibert-mirror/baidu-openapi"
    folder.mkdir(parents=True)
    config = folder / "config.json"
    bases = {"pan_base": stand.server.url("pan"), "openapi_base": stand.server.url("openapi")}
    config.write_text(json.dumps({"app_key": KEY, "secret_key": SECRET, "app_name": NAME, **bases}))
    config.chmod(0o600)
    return fresh_command(tmp_path).at(stand.root, XDG_CONFIG_HOME=str(stand.home))


def test_from_nothing_to_held(stand: Stand, tmp_path: Path) -> None:
    here = command(stand, tmp_path)
    assert "nobody is logged in" in here("baidu", "status").out
    refused = here("baidu", "ls", code=8)
    assert "minibert-mirror baidu login" in refused.err
    stand.login()
    assert here("baidu", "status", "--json").rows[0]["logged_in"] is True
    listed = here("baidu", "ls", "--json").rows
    assert [row["path"] for row in listed] == sorted(f"{FOLDER}/share/{name}" for name in weights())
    assert "9 calls left this hour" in here("baidu", "ls").err
    assert f"{FOLDER}/share/pytorch_model.bin" in here("baidu", "pull", "share/*.bin", "--dry-run").out
    done = here("baidu", "pull", "--json")
    taken = {f"{row['artifact']}/{row['path']}" for row in done.rows if row.get("status") == "taken"}
    assert taken == WANTED
    assert done.rows[-1]["calls_left"] == 8
    assert "baidu-openapi" in here("why", "bert-tiny@baidu-pytorch/pytorch_model.bin").out
    assert "3 files known from before" in here("baidu", "pull").err
    assert {row["held"] for row in here("status", "bert-tiny@baidu-pytorch", "--json").rows} == {3}
    here("ledger", "verify")
    assert "设置" in here("baidu", "logout").out
    assert here("baidu", "pull", code=8).out == ""


def test_a_token_that_has_ended_is_no_good_one(stand: Stand, tmp_path: Path) -> None:
    here = command(stand, tmp_path)
    stand.login()
    assert "the token is good until " in here("baidu", "status").out
    assert here("baidu", "status", "--json").rows[0]["expired"] is False
    tokens = json.loads(stand.tokens.read_text())
    stand.tokens.write_text(json.dumps(tokens | {"expires": 0.0, "refresh": "spent"}))
    said = here("baidu", "status").out
    assert "good until" not in said
    assert (
        "the token ended at 1970-01-01T00:00:00+00:00: the next ls or pull renews it, or says to log in again" in said
    )
    assert here("baidu", "status", "--json").rows[0]["expired"] is True
    assert "hint: minibert-mirror baidu login" in here("baidu", "ls", code=8).err


@pytest.mark.slow
def test_a_used_up_hour_and_an_open_file_have_their_exit_codes(stand: Stand, tmp_path: Path) -> None:
    here = command(stand, tmp_path)
    stand.login()
    for _ in range(10):
        here("baidu", "ls", "--update", "--quiet")
    refused = here("baidu", "ls", "--update", code=5)
    assert "used up" in refused.err
    assert "min" in refused.err
    (stand.home / "minibert-mirror/baidu-openapi/config.json").chmod(0o640)
    assert "chmod 600" in here("baidu", "status", code=2).err


def test_nobody_gets_this_way_unasked(tmp_path: Path) -> None:
    here = fresh_command(tmp_path)
    done = here("baidu", "pull", code=2)
    assert "MINIBERT_MIRROR_BAIDU_APP_KEY" in done.err
    assert "register an app" in done.err


@pytest.mark.slow  # the command waits five seconds before it asks, as Baidu wants it
def test_a_login_with_the_installed_command(stand: Stand, tmp_path: Path) -> None:
    here = command(stand, tmp_path)
    stand.platform.clock = time.time
    process = here.start("baidu", "login", "--json")
    assert process.stdout is not None
    shown = json.loads(process.stdout.readline())
    stand.platform.grants.approve(shown["user_code"])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["logged_in"]) == (0, True), err


@pytest.mark.parametrize("words", [["login"], ["login", "--json"]])
def test_a_login_shows_code_and_page_and_no_secret(stand: Stand, words: list[str]) -> None:
    workspace = Workspace(stand.root, stand.environ)
    workspace.mirror.now = stand.clock

    def sleep(seconds: float) -> None:
        stand.clock.sleep(seconds)
        for device in stand.platform.grants._devices.values():
            device.verdict = "yes"

    workspace.mirror.sleep = sleep
    done = CliRunner().invoke(baidu, words, obj=workspace)
    assert done.exit_code == 0, done.output
    assert stand.server.url("openapi", "/device") in done.output
    assert not [secret for secret in stand.secrets() if secret in done.output]
