"""From styled subtitle text to the words: tags, overrides, drawings and entities go. Knows no times and no container.

Every pattern is linear in its input: it cannot match the same characters in two ways. Entities are decoded once and
last, so that an escaped tag stays text; what they decode to is cleaned again.
"""

from __future__ import annotations

import re
from html import unescape

from framecue.media.encodings import clean

_HTML = re.compile(r"</?(?:b|i|u|s|strike|em|strong|font|span|p|c|v|lang|ruby|rt)(?:[ .][^<>]*)?>", re.IGNORECASE)
"""In SubRip only tags that are used there: `<sighs>` is somebody's word."""
_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
_ANY_TAG = re.compile(r"</?[\w.][^<>]*>|</?>")
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")
_BRACES = re.compile(r"\{([^{}]*)\}")
_DRAWING = re.compile(r"\\p(\d+)")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def plain_subrip(text: str) -> str:
    """The words of SubRip text: no HTML, no `{\\an8}`, `\\N` as a line end."""
    text = _BREAK.sub("\n", _OVERRIDE.sub("", text))
    text = text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    return tidy(_entities(_HTML.sub("", text)))


def plain_webvtt(text: str) -> str:
    """The words of WebVTT text: no class, voice, language, ruby or karaoke tags."""
    return tidy(_entities(_ANY_TAG.sub("", _BREAK.sub("\n", text))))


def plain_ass(text: str) -> str:
    """The words of an ASS event: no override blocks, no comments in braces, no vector drawings (`{\\p1}`)."""
    words, drawing = [], False
    for i, part in enumerate(_BRACES.split(text)):
        if i % 2 == 0:
            words.append("" if drawing else part)
        elif scales := _DRAWING.findall(part):
            drawing = any(digit != "0" for digit in scales[-1])
    return tidy("".join(words).replace("\\N", "\n").replace("\\n", " ").replace("\\h", " "))


def tidy(text: str) -> str:
    """`text` cleaned, one space between words, no empty lines."""
    lines = (" ".join(line.split()) for line in clean(text).split("\n"))
    return "\n".join(line for line in lines if line)


def _entities(text: str) -> str:
    return _ENTITY.sub(lambda match: unescape(match[0]), text)
