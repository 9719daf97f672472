"""A share's secret in its four spellings."""

from __future__ import annotations

import pytest

from mirror.wire.pan import ShareSecret

#: Synthetic: no share ever had it.
SEKEY = "+yBFao+02f4jSG2St9wBJktwlbrfBClOc5i94gcsUXY="
RANDSK = "%2ByBFao%2B02f4jSG2St9wBJktwlbrfBClOc5i94gcsUXY%3D"
SECKEY = "-yBFao-02f4jSG2St9wBJktwlbrfBClOc5i94gcsUXY~"


def test_the_spellings_are_those_of_the_reference() -> None:
    secret = ShareSecret(SEKEY)
    assert (secret.randsk, secret.seckey) == (RANDSK, SECKEY)


@pytest.mark.parametrize("sekey", [SEKEY, "ab+/" * 10, "/" * 43 + "=", "A" * 42 + "=="])
def test_every_spelling_leads_back(sekey: str) -> None:
    secret = ShareSecret(sekey)
    assert ShareSecret.from_randsk(secret.randsk) == secret == ShareSecret.from_seckey(secret.seckey)
    assert ShareSecret.from_randsk(sekey) == secret, "some answers do not encode it at all"


def test_a_secret_that_was_encoded_twice_is_none() -> None:
    with pytest.raises(ValueError, match="base64"):
        ShareSecret.from_randsk(RANDSK.replace("%", "%25"))


@pytest.mark.parametrize("text", ["", "a; BDUSS=x", "a\r\nX: y", "é" * 8, "====", "a" * 300, "null "])
def test_what_could_not_stand_in_a_cookie_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        ShareSecret.from_randsk(text)


def test_no_repr_shows_it() -> None:
    assert SEKEY not in repr(ShareSecret(SEKEY))
    assert "yBFao" not in f"{ShareSecret(SEKEY)!s}"
