"""The page of hand-offs: one self-contained HTML file with links, QR codes and check marks, in English and Chinese."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import segno

from mirror.cli.output import size
from mirror.cli.probe import holds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mirror.handoffs import Waiting

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
ul { list-style: none; padding: 0; display: grid; gap: 1rem }
ul { grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)) }
li { border: 1px solid #8886; border-radius: .5rem; padding: 1rem; display: flex; gap: 1rem; align-items: flex-start }
li.here { opacity: .55 }
li.differs { border-color: #d60 }
svg { background: #fff; border-radius: .25rem; flex: none; width: 7rem; height: 7rem }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere }
p { margin: .25rem 0; overflow-wrap: anywhere }
code { font-size: 1.1em; user-select: all }
"""
_TEXT = """
<h1>Files that only a person can fetch · 需要人工下载的文件</h1>
<p>Open a link (or scan its code), log in to Baidu Pan, and download. Then run
<code>minibert-mirror ingest ~/Downloads</code>: what came is recognised by its content, whatever it is called.</p>
<p lang="zh">打开链接（或扫码），登录百度网盘并下载；然后运行 <code>minibert-mirror ingest ~/Downloads</code>，
工具按内容识别文件，与文件名无关。</p>
<p><small>Not affiliated with Baidu. No request was sent to Baidu to make this page.
本页与百度无关，生成时未访问百度。</small></p>
"""
#: What a probe settled, in both languages.
_WORDS = {"alive": "alive · 有效", "dead": "dead · 已失效", "wrong code": "wrong code · 提取码错误"}


def page(shares: Sequence[Waiting]) -> str:
    """Return the page for shares that have an address; a bundle is shown, and not counted."""
    still, total = sum(one.is_needed for one in shares), sum(not one.bundle for one in shares)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="referrer" content="no-referrer">'
        f"<title>minibert-mirror: {still} to fetch by hand</title><style>{_STYLE}</style>{_TEXT}"
        f"<p><strong>{total - still} / {total}</strong> ✓</p>\n<ul>\n{''.join(map(_item, shares))}</ul></html>\n"
    )


def _item(one: Waiting) -> str:
    url = one.url or ""
    code = f"<p>code · 提取码 <code>{escape(one.code)}</code></p>" if one.code else ""
    differs = f"<br>differs from · 不同于 {escape(one.differs_from)}" if one.differs_from else ""
    mark = f"<p>✓ {one.arrived} here · 已收到{differs}</p>" if one.arrived else ""
    if one.probed is not None:
        mark += f"<p>{escape(_WORDS[one.probed.outcome.value])}, {one.probed.at:%Y-%m-%d}</p>"
    state = "open" if one.is_open else "differs" if one.differs_from else "here"
    picture = segno.make(url, micro=False, error="m").svg_inline(scale=3, border=2, omitsize=True)
    return (
        f'<li class="{state}">{picture}<div><h2>{escape(one.artifact)}</h2>'
        f'<p><a href="{escape(url)}" rel="noreferrer noopener" target="_blank">{escape(url)}</a></p>{code}'
        f"<p>{'<br>'.join(map(escape, _should_come(one)))}</p>{mark}</div></li>\n"
    )


def _should_come(one: Waiting) -> Iterator[str]:
    """Yield what the share should bring, a line each: format, tensors, and its files or how large they may be."""
    come = one.expected
    yield "/".join(come.formats)
    if come.tensors is not None:
        yield f"{come.tensors[0]} – {come.tensors[1]} tensors · 张量"
    if one.bundle:
        yield "what other shares have · 与其他分享的内容相同"
    if one.probed is not None and one.probed.files:
        yield holds(one.probed)
    elif come.smallest is not None:
        yield f"{size(come.smallest)} – {size(come.largest)}"
