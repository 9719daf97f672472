"""Where a token goes, and where it must not, whatever redirects say; and TLS that is never given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mirror.errors import RedirectError, TlsError
from mirror.upstream.server import Server
from tests.faults.fleet import sailing
from tests.faults.processes import run
from tests.faults.pulling import LANES, TOKEN, Stand, assert_sound, catalog_of, place_mirror, standing, world_of
from tests.upstream_world import self_signed, small_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANE = LANES["hub-large"]


@pytest.fixture
def other() -> Iterator[Server]:
    """A host that is nobody's, and would take any token."""
    with Server(small_world()) as server:
        yield server


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["hub", "cdn"])
def test_a_redirect_takes_the_token_to_no_other_host(tmp_path: Path, other: Server, host: str, code: int) -> None:
    with standing(tmp_path / "mirror", LANE) as stand:
        stand.strike({"fault": "redirect_to", "url": other.url("plain", "/weights.bin"), "code": code, "host": host})
        stand.pull()
        assert other.requests(), "the redirect was not followed"
        assert not any(one.authorized or one.cookies for one in other.requests())
        assert_sound(stand, [LANE.data])
        assert any(one.authorized for one in stand.server.requests() if one.host == "hub")


def test_a_redirect_of_the_api_takes_the_token_to_no_other_host(tmp_path: Path, other: Server) -> None:
    with standing(tmp_path / "mirror", LANE) as stand:
        stand.server.faults.add("/api/models/*", [{"fault": "redirect_to", "url": other.url("hub", "/api/models/x/y")}])
        assert len(stand.pull().problems) == 1
        assert not any(one.authorized for one in other.requests())


def test_no_secret_is_written_or_said(tmp_path: Path) -> None:
    with sailing(tmp_path / "mirror", copies=1, parts=2) as fleet:
        fleet.server.faults.add("*/model-0.safetensors", [{"fault": "cut_after", "bytes": 500_000}])
        fleet.server.faults.add("*/part-1.json", [{"fault": "status", "code": 403}])
        fleet.server.world.hosts["hub"].tokens.add(TOKEN)  # type: ignore[attr-defined] # the hub's own
        code, out, said = run(fleet.root, "pull", "--all", "--json", environ={**fleet.environ, "HF_TOKEN": TOKEN})
        assert code == 5, said
        assert any(one.authorized for one in fleet.server.requests())
        _, log, _ = run(fleet.root, "ledger", "log", "--json")
        _, why, _ = run(fleet.root, "why", "bert-0@huggingface/model-0.safetensors")
        written = b"".join(path.read_bytes() for path in fleet.root.rglob("*") if path.is_file())
        for secret in (TOKEN, "Signature=", "Key-Pair-Id"):
            assert secret not in out + said + log + why
            assert secret.encode() not in written


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Stand, dict[str, str]]]:
    """A mirror whose upstream speaks TLS, and the environment that trusts it."""
    context, pem = self_signed()
    (tmp_path / "ca.pem").write_bytes(pem)
    with Server(world_of(LANE), tls=context) as server:
        root = place_mirror(tmp_path / "mirror", catalog_of(LANE, server))
        yield Stand(root, server, LANE), {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}


def test_tls_that_is_trusted_works_and_its_word_is_worth_more(secure: tuple[Stand, dict[str, str]]) -> None:
    stand, trust = secure
    stand.more = trust
    assert stand.pull().levels == {"attested": 1}
    assert_sound(stand, [LANE.data])


def test_an_authority_that_nobody_knows_is_refused_with_what_to_do(secure: tuple[Stand, dict[str, str]]) -> None:
    stand, _ = secure
    (problem,) = stand.pull().problems
    assert isinstance(problem.error, TlsError)
    assert "SSL_CERT_FILE" in problem.error.hint
    assert stand.requests() == []


@pytest.mark.parametrize("host", ["hub", "cdn"])
def test_https_never_becomes_http(secure: tuple[Stand, dict[str, str]], other: Server, host: str) -> None:
    stand, trust = secure
    stand.more = trust
    stand.strike({"fault": "redirect_to", "url": other.url("plain", "/weights.bin"), "host": host, "times": "always"})
    (problem,) = stand.pull().problems
    assert isinstance(problem.error, RedirectError)
    assert other.requests() == []


def test_a_cut_in_the_middle_of_tls_is_a_cut(secure: tuple[Stand, dict[str, str]]) -> None:
    stand, trust = secure
    stand.more = trust
    stand.strike({"fault": "cut_after", "bytes": 700_000, "times": 2})
    assert stand.pull().problems == []
    assert_sound(stand, [LANE.data])
    assert stand.sent() == LANE.size
