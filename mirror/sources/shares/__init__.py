"""What a share on Baidu Pan says of itself to somebody who is not logged in: that it lives, names, sizes.

Unofficial: the endpoints are those of the share's own page, nobody documents them, and they may
stop working on any day. Nothing is downloaded. One share at a time, one request at a time; the
two cookies that its page sets go back to that page's origin only, and end with it.

``link`` who is asked · ``answers`` what a reply means · ``page``, ``entries`` what it holds ·
``visit`` the requests · ``pace``, ``limit`` when, and for how long · ``walk`` a listing, whole
or not at all · ``routes`` the two ways to ask.
"""
