"""Shares on Baidu Pan: nothing is asked here; a person fetches them.

Baidu removed downloads without an account, and its official interface shows shares to
verified companies only. So the share is a value with the steps in words, and what the
person brings is taken in by content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.sources.baidu_links import parse

if TYPE_CHECKING:
    from mirror.sources.published import Promised


class HandOff(NamedTuple):
    """A share that waits for a person.

    Attributes:
        artifact: Name of the artifact.
        url: The address to open, with the code where there is one; None when none was ever published.
        code: Extraction code.
        steps: What the person does, one sentence each.
    """

    artifact: str
    url: str | None
    code: str | None
    steps: tuple[str, ...]


def hand_off(artifact: Promised) -> HandOff:
    """Return what a person needs to fetch ``artifact``."""
    if artifact.url is None:
        return HandOff(
            artifact.name, None, artifact.code, ("the publisher has announced this share and never given it",)
        )
    share = parse(artifact.url)
    # The embedded upstream's shares have an address of their own.
    plain = share._replace(code=None).url if share is not None else artifact.url.strip().split("?")[0].split("#")[0]
    url = plain + (f"?pwd={artifact.code}" if artifact.code else "")
    steps = [
        f"open {url} in a browser and log in to Baidu Pan (百度网盘)",
        *([f"type the extraction code (提取码) {artifact.code} if it is asked for"] if artifact.code else []),
        "save the files to your own disk, or download them with the official client",
    ]
    return HandOff(artifact.name, url, artifact.code, tuple(steps))
