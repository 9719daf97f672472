"""``why``: everything that is known about one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mirror.cli import complete
from mirror.cli.output import brief, emit, json_option, paint, say, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.cli import Workspace
    from mirror.explain import Explanation
    from mirror.ledger import Entry, WeightsRow

#: What each level means, in a sentence.
_MEANING = {
    "pinned": "the sha256 equals a pin",
    "attested": "equals a strong digest that the publisher gives, over TLS or on this machine",
    "checked": "equals a weak digest of the publisher or another mirror's word, or TLS was missing",
    "first-seen": "nobody offered a digest; ours is recorded and binds every later pull",
    "disputed": "authorities disagree: nothing is delivered",
}
_FULL = 3


@click.command()
@click.argument("file", shell_complete=complete.selectors)
@json_option
@click.pass_obj
def why(workspace: Workspace, file: str, *, as_json: bool) -> None:
    """Show everything that is known about FILE.

    FILE is ARTIFACT/PATH, an artifact, a path, the beginning of a sha256; with
    !MEMBER behind, one member of an archive.

    \b
    minibert-mirror why bert-tiny@huggingface/vocab.txt
    minibert-mirror why bert-mini@google/uncased_L-4_H-256_A-4.zip!vocab.txt
    minibert-mirror why 07eced37
    """
    found = workspace.mirror.why(file)
    for number, one in enumerate(found):
        if as_json:
            emit(_as_json(one))
        elif number < _FULL or len(found) <= 2 * _FULL:
            _print(one)
        else:
            say(f"{one.name}: {one.state.level or one.state.state}")


def _as_json(one: Explanation) -> dict[str, Any]:
    return {
        **one.state._asdict(),
        "promised": {
            "size": one.listed.size,
            "urls": list(one.listed.urls),
            "claims": [str(c) for c in one.listed.claims],
        }
        if one.listed
        else None,
        "catalog": {"provenance": one.pinned.where, "sha256": one.pinned.sha256, "size": one.pinned.size}
        if one.pinned
        else None,
        "digests": {name: digest.hex for name, digest in one.blob.digests.items()} if one.blob else {},
        "members": [
            {**m._asdict(), "level": one.member_evidence(m).level.value}
            for m in one.members
            if one.member in {None, m.path}
        ],
        "tensors": [said._asdict() for said in one.tensors],
        "weights": [weights._asdict() for weights in one.weights],
        "history": [
            {"seq": e.seq, "at": e.at, "kind": e.kind, "detail": e.detail} for e in one.history if e.kind != "listed"
        ],
    }


def _print(one: Explanation) -> None:
    if one.member:
        say(paint(f"{one.name}!{one.member}", bold=True))
        _print_members(one)
        say("it came in")
    state = one.state
    say(paint(one.name, bold=True))
    level = state.level if state.state == "held" else state.state
    _line("evidence", f"{level}" + (f": {_MEANING[level]}" if level in _MEANING else ""))
    for said in one.tensors:
        _line("", paint(str(said), fg="red" if said.how == "none" else "green"))
    if state.damage:
        _line("damage", f"the blob was found {state.damage}; pull it again")
    if state.error and state.state != "disputed":  # a dispute stands below, claim by claim
        _line("error", state.error)
    _line("size", _bytes(state.size))
    if state.revision:
        _line("revision", state.revision)
    for digest in one.blob.digests.values() if one.blob else ():
        _line("digest", str(digest))
    _print_promises(one)
    for weights in one.weights:
        _print_weights(weights)
    for entry in one.history:
        if entry.kind != "listed":
            _print_event(entry)
    if not one.member:
        _print_members(one)
    say()


def _print_weights(weights: WeightsRow) -> None:
    parameters = "" if weights.parameters is None else f", {weights.parameters:,} parameters"
    colour = {"sound": "green", "unread": "yellow"}.get(weights.verdict, "red")
    kind = " ".join(filter(None, (weights.format, weights.family))) or "not readable"
    _line("weights", f"{kind}{parameters}: {paint(weights.verdict, fg=colour)}")
    for group, root in weights.roots.items():
        _line("tensors", f"{group} {root}")
    for step, severity, tensor, text in weights.findings:
        _line(severity, f"{step}: {tensor}: {text}" if tensor else f"{step}: {text}")


def _print_promises(one: Explanation) -> None:
    for url in one.listed.urls if one.listed else ():
        _line("offered at", url)
    claims = one.listed.claims if one.listed else ()
    if not claims:
        _line("promised", "nobody promised a digest beforehand")
    for claim in claims:
        _line("promised", str(claim))
    stored = one.last("stored") or {}
    for claim in stored.get("agreeing", []):
        if claim["authority"] != "catalog":
            _line("agrees", _says(claim))


def _says(claim: dict[str, Any]) -> str:
    return f"{claim['authority']} ({claim['where']}) says {claim['digest']}"


def _stored(detail: dict[str, Any]) -> str:
    where = f" from {detail['url']}" if detail.get("url") else ""
    kept = detail.get("kept")
    if origin := detail.get("origin"):
        where = f" from {origin['name']} by {origin['by']}" + (
            f", answering {origin['share']}" if origin["share"] else ""
        )
    return f"stored, {detail['how']}{where}" + (
        f"; {size(kept)} of the damaged copy were right and stayed" if kept is not None else ""
    )


def _verified(detail: dict[str, Any]) -> str:
    text = f"verified at level {detail['level']}: {detail['verdict']}"
    return f"{text}; only a first read gave sha256:{detail['transient']}" if detail.get("transient") else text


def _loaded(detail: dict[str, Any]) -> str:
    text = f"loaded at level {detail['level']}: {detail['verdict']}"
    words = [str(word) for word, _ in detail["answer"]["top"]] if detail.get("answer") else []
    return f"{text}; its first words for the probe are {', '.join(words)}" if words else text


#: How the events of a kind are told in a line.
_TOLD: dict[str, Callable[[dict[str, Any]], str]] = {
    "stored": _stored,
    "failed": lambda detail: f"failed: {detail['error']}: {detail['message']}",
    "verified": _verified,
    "loaded": _loaded,
    "opinion": lambda detail: f"{detail['tool']} {'agrees' if detail['agrees'] else 'does not agree'}",
    "refused": lambda detail: f"refused {detail['name']}: {detail['why']}",
    "members": lambda detail: f"{len(detail['members'])} members listed",
}


def _print_event(entry: Entry) -> None:
    detail = entry.detail
    text = _TOLD[entry.kind](detail) if entry.kind in _TOLD else entry.kind
    _line(entry.at[:19].replace("T", " "), f"{text} (event {entry.seq})")
    if entry.kind == "disputed":
        _print_dispute(detail)
    if entry.kind in {"disputed", "refused"} and detail.get("quarantine"):
        _line("", f"  kept in cache/quarantine/{detail['quarantine']}")
    for hop in detail.get("hops") or ():
        _line("", f"  {hop['status']} {hop['url']}")
        for name, value in hop["headers"]:
            _line("", f"      {name}: {value}")
    for attempt in detail.get("attempts") or ():
        _line("", f"  before: {attempt['error']}: {brief(attempt['message'])}")


def _print_dispute(detail: dict[str, Any]) -> None:
    for algorithm, digest in detail["actual"].items():
        _line("", f"  got {algorithm}:{digest}")
    for claim in detail["against"]:
        _line("", f"  but {_says(claim)}")


def _print_members(one: Explanation) -> None:
    for member in one.members:
        evidence = one.member_evidence(member)
        if one.member is None:
            _line("member", f"{member.path}  {size(member.size)}  {evidence.level}")
            _line("", f"  sha256:{member.sha256}" + (f" crc32:{member.crc32}" if member.crc32 else ""))
        elif one.member == member.path:
            _line("evidence", f"{evidence.level}: {_MEANING[evidence.level]}")
            _line("size", _bytes(member.size))
            _line("digest", f"sha256:{member.sha256}")
            for claim in (*evidence.agreeing, *evidence.against):
                _line("agrees" if claim in evidence.agreeing else "denies", str(claim))


def _bytes(count: int | None) -> str:
    if count is None:
        return "unknown"
    return f"{size(count)} ({count} B)" if count >= 1024 else f"{count} B"


def _line(name: str, text: str) -> None:
    say(f"  {name:<20}{text}")
