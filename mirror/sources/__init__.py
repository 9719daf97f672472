"""Places that offer bytes: one file for each kind, behind one ``Reply``.

A source translates: only our values and our errors come out, for the call and for
reading the body. Addresses that are shown or kept are redacted; a token goes to the
origin it belongs to and nowhere else.
"""
