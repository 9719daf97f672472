"""A hub that does not say, or says wrongly, what it has: an error of ours, and everything else still comes."""

from __future__ import annotations

import hashlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from mirror.api import Mirror
from mirror.errors import (
    AccessError,
    ChangedError,
    MirrorError,
    NotFoundError,
    RateLimitedError,
    RedirectError,
    SourceError,
)
from tests.catalogs import catalog, file, http, hub, model
from tests.faults.fleet import Fleet, sailing
from tests.faults.pulling import place_mirror
from tests.loopback.scripted import always, answer, routes, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BROKEN = "*/api/models/owner/bert-0/*"
FAULTS: dict[str, tuple[Mapping[str, Any], type[MirrorError]]] = {
    "cut": ({"fault": "cut_after", "bytes": 100}, SourceError),
    "reset": ({"fault": "reset_after", "bytes": 100}, SourceError),
    "stalled": ({"fault": "stall_after", "bytes": 100}, SourceError),
    "silent": ({"fault": "stall_before_headers"}, SourceError),
    "no http": ({"fault": "garbage_status_line"}, SourceError),
    "not found": ({"fault": "status", "code": 404, "error_code": "RepoNotFound"}, NotFoundError),
    "revision gone": ({"fault": "status", "code": 404, "error_code": "RevisionNotFound"}, NotFoundError),
    "gated": ({"fault": "status", "code": 403, "error_code": "GatedRepo"}, AccessError),
    "token refused": ({"fault": "status", "code": 401}, AccessError),
    "too many": ({"fault": "status", "code": 429, "retry_after": 1}, RateLimitedError),
    "broken": ({"fault": "status", "code": 500}, SourceError),
    "a login page": ({"fault": "html_login"}, SourceError),
    "nothing": ({"fault": "empty_body"}, SourceError),
    "compressed": ({"fault": "gzip"}, SourceError),
    "a circle": ({"fault": "redirect_loop"}, RedirectError),
    "endless redirects": ({"fault": "redirect_loop", "growing": True}, RedirectError),
    "another scheme": ({"fault": "redirect_to", "url": "ftp://127.0.0.1/x"}, SourceError),
    "no address": ({"fault": "redirect_to", "url": "http://[::1/x"}, SourceError),
    "too long": ({"fault": "lying_content_length", "kind": "small", "by": 20}, SourceError),
    "longer than it says": ({"fault": "lying_content_length", "kind": "big", "by": 20}, SourceError),
}
#: They take as long as it takes to be sure.
LONG = {"stalled", "silent", "too many"}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with sailing(tmp_path / "mirror", parts=1) as fleet:
        yield fleet


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in FAULTS])
def test_one_hub_repository_cannot_be_listed(fleet: Fleet, name: str) -> None:
    step, error = FAULTS[name]
    fleet.server.faults.add(BROKEN, [{**step, "times": "always"}])
    outcome = fleet.mirror.sync(everything=True, stall=0.3, retries=1, retry_pause=0.01)
    readable = name == "compressed"  # it was not asked for, and JSON is JSON
    assert [problem.subject for problem in outcome.problems] == ([] if readable else ["bert-0@huggingface"])
    assert all(isinstance(problem.error, error) and problem.error.hint is not None for problem in outcome.problems)
    fleet.assert_sound()
    held = {state.artifact for state in fleet.mirror.files() if state.state == "held"}
    assert held >= {"bert-0@google", "bert-0@silent", "bert-1@google", "bert-1@huggingface", "bert-1@silent"}
    fleet.server.faults.clear()
    assert fleet.mirror.sync(everything=True).problems == []
    fleet.assert_complete()


def test_a_hub_whose_every_answer_is_an_abyss_stops_nothing_else(fleet: Fleet) -> None:
    abyss = answer(b"[" * 100_000, "Content-Type: application/json")
    with scripted(always(abyss)) as hub:
        mirror = Mirror.open(fleet.root, environ={"HF_ENDPOINT": hub.url})
        outcome = mirror.sync(everything=True, retries=1, retry_pause=0.01)
    assert sorted(problem.subject for problem in outcome.problems) == ["bert-0@huggingface", "bert-1@huggingface"]
    assert all(type(problem.error) is SourceError for problem in outcome.problems)
    held = {state.artifact for state in mirror.files() if state.state == "held"}
    assert held == {"bert-0@google", "bert-0@silent", "bert-1@google", "bert-1@silent"}


def test_a_file_that_cannot_be_taken_is_a_problem_of_its_own(tmp_path: Path) -> None:
    data, commit = b"words", "c" * 40
    blob = hashlib.sha1(b"blob 5\0words", usedforsecurity=False).hexdigest()
    siblings = [{"rfilename": path, "size": 5, "blobId": blob} for path in ("../a", "b:c?.txt", "d.txt")]
    table = {
        "/api/models/owner/bert/revision/main?blobs=true": {"id": "owner/bert", "sha": commit, "siblings": siblings},
        f"/owner/bert/resolve/{commit}/b%3Ac%3F.txt": None,
        f"/owner/bert/resolve/{commit}/d.txt": None,
    }
    answers = {target: answer(data if said is None else json.dumps(said).encode()) for target, said in table.items()}
    place_mirror(tmp_path, json.dumps(catalog(model("bert", hub("owner/bert")))))
    with scripted(routes(answers)) as server:
        mirror = Mirror.open(tmp_path, environ={"HF_ENDPOINT": server.url})
        (problem,) = mirror.sync("bert").problems
    assert type(problem.error) is SourceError
    assert str(problem.error) == "bert@huggingface/'../a': its path leads elsewhere"
    assert {file.path: file.state for file in mirror.files()} == {"b:c?.txt": "held", "d.txt": "held"}
    assert (mirror.path("bert") / "b:c?.txt").read_bytes() == data
    (failed,) = mirror.events(kind="failed")
    assert (failed.subject, failed.detail["path"]) == ("bert@huggingface", None)
    with mirror.reader() as reader:
        assert reader is not None
        reader.verify()


PASSING: dict[str, Mapping[str, Any]] = {
    name: FAULTS[name][0] for name in ("cut", "reset", "stalled", "silent", "no http", "too many", "broken")
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n != "broken" else n for n in PASSING])
def test_a_hub_that_fails_for_a_moment_is_asked_again(fleet: Fleet, name: str) -> None:
    fleet.server.faults.add(BROKEN, [PASSING[name]])
    assert fleet.mirror.sync("bert-0@huggingface", stall=0.3, retry_pause=0.01).problems == []
    fleet.assert_sound()


def test_an_update_that_cannot_ask_leaves_what_is_held(fleet: Fleet) -> None:
    fleet.mirror.sync(everything=True)
    fleet.server.faults.add(BROKEN, [{"fault": "status", "code": 500, "times": "always"}])
    outcome = fleet.mirror.sync(everything=True, update=True, retry_pause=0.01)
    assert [problem.subject for problem in outcome.problems] == ["bert-0@huggingface"]
    fleet.assert_complete()


def test_a_listing_of_another_commit_than_the_pinned_one_is_refused(fleet: Fleet) -> None:
    elsewhere = "/api/models/owner/bert-1/revision/main?blobs=true"
    fleet.server.world.add_hub_file("owner/bert-1", "f" * 40, "config.json", b"{}")  # type: ignore[attr-defined]
    fleet.server.world.repository("owner/bert-1").move("main", "f" * 40)  # type: ignore[attr-defined]
    fleet.server.faults.add(BROKEN, [{"fault": "redirect_to", "to": "hub", "path": elsewhere, "times": "always"}])
    (problem,) = fleet.mirror.sync("bert-0@huggingface", retries=1, retry_pause=0.01).problems
    assert isinstance(problem.error, ChangedError)
    assert not any(fleet.mirror.store.iter_blobs())


def test_a_host_that_answers_nobody_is_asked_patiently_once_and_then_once_a_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
    files = [file(f"{name}.bin", f"{dead}/{name}", sha256=name * 64, size=100) for name in "abc"]
    (tmp_path / "cache").mkdir()
    (tmp_path / "catalog.json").write_text(json.dumps(catalog(model("bert-0", http(*files)))))
    mirror = Mirror.open(tmp_path, environ={})
    outcome = mirror.sync("bert-0", jobs=1, retries=3, retry_pause=0.01)
    assert len(outcome.problems) == 3
    tried = [len(event.detail["attempts"]) for event in mirror.events(kind="failed")]
    assert sorted(tried) == [1, 1, 4]
