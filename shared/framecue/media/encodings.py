"""From bytes to clean text: which encoding it is, and nothing left in it that could steer a terminal. Knows no format.

Order: byte order mark, strict UTF-8, the encoding that the sender declared, UTF-16 without a mark, then a guess by
charset-normalizer among the code pages that the language is written in. Left to all code pages, the guess reads
French cp1252 as cp1257.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PAGES = {
    "cp1252": "en eng fr fra fre de deu ger es spa pt por it ita nl nld dut sv swe da dan no nor nb nob nn nno fi fin "
    "is isl ice ca cat gl glg eu eus baq ga gle af afr id ind ms msa may",
    "cp1250": "pl pol cs ces cze sk slk slo hu hun sl slv hr hrv ro ron rum sq sqi alb bs bos sr srp",
    "cp1251": "ru rus uk ukr bg bul sr srp mk mkd mac be bel kk kaz",
    "koi8-r": "ru rus",
    "koi8-u": "uk ukr",
    "cp1253": "el ell gre",
    "cp1254": "tr tur az aze",
    "cp1255": "he heb",
    "cp1256": "ar ara fa fas per ur urd",
    "cp1257": "lt lit lv lav et est",
    "cp1258": "vi vie",
    "cp874": "th tha",
    "cp932": "ja jpn",
    "euc-jp": "ja jpn",
    "gb18030": "zh zho chi",
    "big5": "zh zho chi",
    "cp949": "ko kor",
}
"""Code pages that subtitles come in, commonest first, with the languages (ISO 639-1, -2) that are written in each."""
UNHINTED = tuple(page for page in PAGES if page not in ("koi8-u", "cp1257", "cp1258", "cp874", "euc-jp"))
"""Without a language: the usual pages. The rarer ones claim other languages' text."""
DECLARABLE = frozenset(codecs.lookup(n).name for n in (*PAGES, "iso8859-1")) | {
    f"iso8859-{n}" for n in range(2, 17) if n != 12
}
"""What a header may name: code pages, since Unicode shows in the bytes. Not all that Python can decode: some of its
codecs unpack, or take quadratic time."""
GUESS_BYTES = 1 << 16
"""What the guess looks at: enough for certainty, and bounded work for a document of megabytes."""

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")


@dataclass(frozen=True)
class Decoded:
    """`text` is clean; `certain` is False where the encoding was guessed or bytes had to be replaced."""

    text: str
    encoding: str
    certain: bool


def decode_text(data: bytes, *, language: str | None = None, declared: str | None = None) -> Decoded:
    """The text in `data`, cleaned, with the encoding that was chosen. Never raises.

    `language` (`fr`, `fra`, `fr-CA`) narrows the guess; `declared` is what a header says the encoding is.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(name, "replace")
            return Decoded(clean(text), name, "\ufffd" not in text)
    wide = _utf16_without_mark(data)
    for candidate in (wide or "utf-8", _known(declared)):
        strict = _strict(data, candidate)
        if candidate is not None and strict is not None:
            return Decoded(clean(strict), candidate, certain=True)
    return _guess(data, language)


def clean(text: str) -> str:
    """`text` with `\\n` as its only line end and without what may not reach a terminal or a browser.

    That is: control characters but `\\n` and `\\t`, marks that reorder the characters around them, lone surrogates.
    """
    return _UNSAFE.sub("", _LINE_ENDS.sub("\n", text))


def pages_for(language: str | None) -> tuple[str, ...]:
    """The code pages that text in `language` comes in; the usual ones where it is unknown."""
    primary = re.split("[-_,]", (language or "").strip().lower())[0]
    return tuple(page for page, languages in PAGES.items() if primary in languages.split()) or UNHINTED


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 shows by zero bytes at one parity: each line end, digit and space has one, in any language."""
    head = data[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    most, least = max(even, odd), min(even, odd)
    if len(data) % 2 or most < 2 or most * 20 < len(head) or least * 10 > most:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _known(declared: str | None) -> str | None:
    try:
        name = codecs.lookup((declared or "").strip().strip("\"'")).name
    except (LookupError, ValueError):
        return None
    return name if name in DECLARABLE else None


def _strict(data: bytes, name: str | None) -> str | None:
    try:
        return None if name is None else data.decode(name)
    except UnicodeDecodeError:
        return None


def _guess(data: bytes, language: str | None) -> Decoded:
    from charset_normalizer import from_bytes  # here, since few documents need it, and a command should start at once

    pages = pages_for(language)
    head = data if len(data) <= GUESS_BYTES else data[: data.rfind(b"\n", 0, GUESS_BYTES) + 1 or GUESS_BYTES]
    found = from_bytes(head, cp_isolation=list(pages))
    best = found.best()
    level = [m for m in found if best and (m.chaos, m.coherence) == (best.chaos, best.coherence)]
    named = {name.replace("_", "-") for match in level for name in match.could_be_from_charset}
    name = next((page for page in pages if page in named), pages[0])  # a tie goes to the page that is met more often
    return Decoded(clean(data.decode(name, "replace")), name, certain=False)
