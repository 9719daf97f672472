"""The outside world in miniature, on loopback, for the demo and the tests.

A Hugging Face hub, the CDN that it redirects to, Google storage, Baidu object storage,
Baidu Pan's share pages and a plain host, in one process on several ports. They answer to the
letter as the real ones do, over seeded weights in the real container formats, and follow
a script of faults. Nothing else of the package knows them; they know nothing of it.

``content`` bytes and their digests · ``http`` messages · ``conditions`` ranges and
validators · ``hub``, ``objects``, ``pan`` the hosts · ``faults``, ``mischief`` the script ·
``delivery``, ``server`` the sockets · ``weights``, ``naming``, ``containers`` the files ·
``world`` all of it together.
"""
