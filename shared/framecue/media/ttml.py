"""Reader of TTML (1 and 2, DFXP, IMSC, EBU-TT, old namespaces): times and words. Knows nothing of bytes and styling.

Elements arrive one by one from a parser that refuses entities, so memory and time are bounded by the text. Times are
those of TTML2 chapter 12: an element's begin and end count from its parent's begin (in a `seq`, from the end of the
sibling before), and the parent's end clips them. Overlaps stay overlaps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from framecue.errors import SubtitleError
from framecue.media.drafts import Drafts
from framecue.media.styling import tidy
from framecue.timeline import to_ms

DEPTH_MAX = 64
"""Deeper than any document that people make."""
RATE_MAX = 10**9
"""Ten MHz is the tick rate that is met."""

_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,3}):(\d{1,2})(?:\.(\d{1,9})|:(\d{1,6})(?:\.(\d{1,6}))?)?")
_OFFSET = re.compile(r"(\d{1,18})(?:\.(\d{1,9}))?(h|ms|m|s|f|t)?")
_METRICS = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
_CONTENT = frozenset({"tt", "body", "div", "p", "span", "br"})
_IMAGES = frozenset({"backgroundImage", "image"})


def read_ttml(text: str, drafts: Drafts) -> None:
    """Adds the cues of `text`. Raises SubtitleError when it is not TTML, or refuses entities; a document that breaks
    off gives the cues before."""
    target = _Target(drafts)
    parser = DefusedXMLParser(target=target, forbid_entities=True, forbid_external=True)
    target.line = lambda: int(parser.parser.CurrentLineNumber)
    try:
        parser.feed(text)
        parser.close()
    except DefusedXmlException as e:
        raise SubtitleError("the TTML declares entities; they are refused, write the characters themselves") from e
    except ParseError as e:
        if not target.closed:
            raise SubtitleError(f"the TTML is no well-formed XML: {e}") from e
        drafts.warnings.append(f"the TTML breaks off: {e}")
    if target.pictures:
        drafts.warnings.append("the TTML holds pictures of text; they are not read; supply text subtitles")


@dataclass(frozen=True)
class _Rates:
    """ttp:frameRate with its multiplier, ttp:subFrameRate, ttp:tickRate (TTML2 7.2)."""

    frames: Fraction = Fraction(30)
    sub_frames: int = 1
    ticks: Fraction = Fraction(1)

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> _Rates:
        frame_rate = _whole(attributes.get("frameRate"))
        parts = [_whole(part) for part in re.split(r"[ :]+", attributes.get("frameRateMultiplier", "").strip())[:2]]
        up, down = (*parts, 1)[:2]
        frames = Fraction(frame_rate or 30) * (Fraction(up, down) if up and down else 1)
        sub_frames = _whole(attributes.get("subFrameRate")) or 1
        default_ticks = frames * sub_frames if frame_rate else Fraction(1)
        return cls(frames, sub_frames, Fraction(_whole(attributes.get("tickRate")) or default_ticks))


@dataclass
class _Open:
    """An element on the path. Times in exact seconds; `end` None is open; `cursor` is where a `seq` stands."""

    name: str
    begin: Fraction
    end: Fraction | None
    language: str | None
    muted: bool
    sequential: bool
    own_words: bool
    readable: bool
    cursor: Fraction
    line: int
    words: list[str] = field(default_factory=list)


class _Target:
    """The parser's target: keeps the path of open elements, adds a cue for each that carries its own words."""

    def __init__(self, drafts: Drafts) -> None:
        self.line: Callable[[], int] = lambda: 0
        self.closed = 0
        self.pictures = False
        self._drafts = drafts
        self._path: list[_Open] = []
        self._rates = _Rates()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        given = {_local(key): value for key, value in attributes.items()}
        if not self._path:
            self._root(name, given)
        if len(self._path) >= DEPTH_MAX:
            raise SubtitleError(f"the TTML nests its elements deeper than {DEPTH_MAX}")
        self.pictures = self.pictures or name in _IMAGES or not _IMAGES.isdisjoint(given)
        if name == "br":
            self.data("\n", keep=True)
        self._path.append(self._opened(name, given))

    def end(self, tag: str) -> None:
        element = self._path.pop()
        self.closed += 1
        if self._path and element.end is not None:
            self._path[-1].cursor = element.end
        if not element.own_words:
            return
        text = tidy("".join(element.words))
        if element.readable:
            end = None if element.end is None else to_ms(element.end)
            self._drafts.add(to_ms(element.begin), end, text, language=element.language, line=element.line)
        elif text:
            self._drafts.miss(element.line)

    def data(self, data: str, *, keep: bool = False) -> None:
        if not self._path or self._path[-1].muted:
            return
        owner = next((e for e in reversed(self._path) if e.own_words), None)
        if owner is not None:
            owner.words.append(data if keep else data.replace("\n", " "))

    def close(self) -> None:
        """Nothing is left to do: each element added its cue as it ended."""

    def _root(self, name: str, given: Mapping[str, str]) -> None:
        if name != "tt":
            raise SubtitleError(f"the XML is no TTML: its root is {name[:40]!r}, expected 'tt'")
        self._rates = _Rates.of(given)
        base = given.get("timeBase", "media")
        if base != "media":
            self._drafts.warnings.append(
                f"the TTML counts time as {tidy(base)[:20]!r}; its times are read as media time"
            )

    def _opened(self, name: str, given: Mapping[str, str]) -> _Open:
        parent = self._path[-1] if self._path else None
        zero = Fraction(0) if parent is None else parent.cursor if parent.sequential else parent.begin
        times = {key: given[key] for key in ("begin", "end", "dur") if key in given}
        read = {key: self._seconds(value) for key, value in times.items()}
        begin = zero + (read.get("begin") or 0)
        ends = [zero + value for key, value in read.items() if key == "end" and value is not None]
        ends += [begin + value for key, value in read.items() if key == "dur" and value is not None]
        if parent is not None and parent.end is not None:
            ends.append(parent.end)
        muted = name not in _CONTENT or given.get("ruby") in ("text", "textContainer", "delimiter")
        return _Open(
            name=name,
            begin=begin,
            end=min(ends, default=None),
            language=given.get("lang") or (parent.language if parent else None),
            muted=muted or (parent is not None and parent.muted),
            sequential=given.get("timeContainer") == "seq",
            own_words=name == "p" or (name == "span" and bool(times)),
            readable=None not in read.values() and (parent is None or parent.readable),
            cursor=begin,
            line=self.line(),
        )

    def _seconds(self, text: str) -> Fraction | None:
        """`text` as a TTML time expression, or None; a bare number is seconds, as in SMIL."""
        text = text.strip()
        if match := _CLOCK.fullmatch(text):
            hours, minutes, seconds, decimals, frames, sub_frames = match.groups()
            whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
            counted = int(frames or 0) + Fraction(int(sub_frames or 0), self._rates.sub_frames)
            return whole + _decimal("0", decimals) + counted / self._rates.frames
        if match := _OFFSET.fullmatch(text):
            return _decimal(match[1], match[2]) * self._unit(match[3] or "s")
        return None

    def _unit(self, metric: str) -> Fraction:
        match metric:
            case "f":
                return 1 / self._rates.frames
            case "t":
                return 1 / self._rates.ticks
            case _:
                return _METRICS[metric]


def _decimal(whole: str, decimals: str | None) -> Fraction:
    return int(whole) + Fraction(int(decimals or 0), 10 ** len(decimals or ""))


def _whole(text: str | None) -> int:
    """`text` as a positive int up to RATE_MAX; 0 where it is none."""
    match = re.fullmatch(r"\s*(\d{1,10})\s*", text or "")
    value = int(match[1]) if match else 0
    return value if value <= RATE_MAX else 0


def _local(name: str) -> str:
    """A name without its namespace: TTML has had several, and writers mix them."""
    return name.rpartition("}")[2]
