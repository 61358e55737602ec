"""Media types: `token "/" token *( ";" [" "] token "=" ( token / quoted-string ) )`, tokens as in RFC 9110, 5.6.2."""

from __future__ import annotations

import re

_TOKEN = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"
_MEDIA_TYPE = re.compile(
    # a quoted value is printable ASCII without escapes
    rf'{_TOKEN}/{_TOKEN}(; ?{_TOKEN}=({_TOKEN}|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))*',
    re.ASCII,
)


def is_media_type(text: str) -> bool:
    """Whether a text is one."""
    return _MEDIA_TYPE.fullmatch(text) is not None
