"""Faults of the socket and of framing: cuts, resets, silence, lengths that lie."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mirror.upstream.mischief import fault

if TYPE_CHECKING:
    from mirror.upstream.http import Answer
    from mirror.upstream.mischief import Scene

#: An endless body does end, so that a client without a limit does not fill the disk.
ENDLESS_CAP = 64 << 20
_FOREVER = 3600.0


@fault("answer")
def cut_after(answer: Answer, scene: Scene, *, bytes: int = 0) -> Answer:  # noqa: A002 # the script's word
    """The connection is closed after so many bytes of the body."""
    return answer.delivered(stop_after=bytes, ending="close")


@fault("answer")
def reset_after(answer: Answer, scene: Scene, *, bytes: int = 0) -> Answer:  # noqa: A002 # the script's word
    """The connection is reset (RST) after so many bytes of the body."""
    return answer.delivered(stop_after=bytes, ending="reset")


@fault("answer")
def stall_after(answer: Answer, scene: Scene, *, bytes: int = 0) -> Answer:  # noqa: A002 # the script's word
    """Silence after so many bytes of the body, until the client goes away."""
    return answer.delivered(stop_after=bytes, ending="stall")


@fault("answer")
def short_body(answer: Answer, scene: Scene, *, missing: int = 1) -> Answer:
    """The last bytes never come; the length promised them, the connection closes."""
    return answer.delivered(stop_after=max(answer.body.nbytes - missing, 0), ending="close")


@fault("answer")
def slow_drip(answer: Answer, scene: Scene, *, rate: float = 1000.0) -> Answer:
    """The body comes at so many bytes a second."""
    return answer.delivered(rate=max(float(rate), 1.0))


@fault("answer")
def delay(answer: Answer, scene: Scene, *, seconds: float = 0.1) -> Answer:
    """Nothing comes for a while, then everything."""
    return answer.delivered(delay=float(seconds))


@fault("answer")
def long_body(answer: Answer, scene: Scene, *, extra: int = 1, declared: bool = False) -> Answer:
    """More bytes than the file has; ``declared`` lets Content-Length count them."""
    body = memoryview(bytes(answer.body) + b"\xee" * extra)
    said = replace(answer, body=body).delivered(ending="close")
    return said.setting("Content-Length", str(body.nbytes)) if declared else said


@fault("answer")
def endless_body(answer: Answer, scene: Scene, *, cap: int = ENDLESS_CAP) -> Answer:
    """No length, and chunks for as long as the client listens, up to ``cap`` bytes."""
    said = answer.without("content-length").adding(("Transfer-Encoding", "chunked"))
    return said.delivered(chunk=65536, filler=cap, ending="close")


@fault("answer")
def chunked(answer: Answer, scene: Scene, *, size: int = 4096) -> Answer:
    """The body is chunked, soundly: no length is told beforehand."""
    said = answer.without("content-length").adding(("Transfer-Encoding", "chunked"))
    return said.delivered(chunk=max(size, 1))


@fault("answer")
def truncated_chunked(answer: Answer, scene: Scene, *, bytes: int = 0) -> Answer:  # noqa: A002 # the script's word
    """A chunked body that ends after so many bytes, without its last chunk."""
    said = answer.without("content-length").adding(("Transfer-Encoding", "chunked"))
    return said.delivered(chunk=4096, stop_after=bytes, ending="close")


@fault("answer")
def no_length(answer: Answer, scene: Scene) -> Answer:
    """No length and no chunks: the end of the connection is the end of the body."""
    return answer.without("content-length").delivered(ending="close")


@fault("answer", kind=("big", "small", "negative", "garbage"))
def lying_content_length(answer: Answer, scene: Scene, *, kind: str = "big", by: int = 100) -> Answer:
    """Content-Length is too big, too small, negative or garbage; the body is sound."""
    length = answer.body.nbytes
    lies = {"big": str(length + by), "small": str(max(length - by, 0)), "negative": "-1", "garbage": "many"}
    return answer.setting("Content-Length", lies[kind]).delivered(ending="close")


@fault("answer")
def close_before_headers(answer: Answer, scene: Scene, *, reset: bool = False) -> Answer:
    """The connection ends before the status line."""
    return answer.delivered(raw_head=b"", stop_after=0, ending="reset" if reset else "close")


@fault("answer")
def stall_before_headers(answer: Answer, scene: Scene) -> Answer:
    """Silence instead of an answer, until the client goes away."""
    return answer.delivered(delay=_FOREVER)


@fault("answer")
def garbage_status_line(answer: Answer, scene: Scene) -> Answer:
    """What comes back is not HTTP."""
    return answer.delivered(raw_head=b"220 smtp.example.org ESMTP ready\r\n", stop_after=0, ending="close")


@fault("answer")
def truncated_headers(answer: Answer, scene: Scene) -> Answer:
    """The connection closes in the middle of the header block."""
    head = answer.head()
    return answer.delivered(raw_head=head[: len(head) // 2], stop_after=0, ending="close")
