"""Baidu's open platform: the user's own disk, through an app that the user has registered.

Documented, revocable, and confined to ``/apps/<name of the app>``. Shares cannot be reached
this way: a person first saves them to the disk. Tokens, secrets and links go to Baidu's
hosts alone, travel in queries, and stand in no error: addresses are redacted.

Source: Baidu open platform (pan.baidu.com/union/doc): device code, refresh, file list,
filemetas, download, error codes.
"""

from __future__ import annotations
