"""Streams in real time: short films with late words, runs that end, clocks that wrap or restart, and garbage.

Everything is drawn from a seed but the moment of sending. What a film must come to is known from what was sent
(`sessions`). It must not know workers, nor what is done to them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from random import Random

import numpy as np

from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.sending import KafkaSender
from framecue.broker.protocol import Message
from framecue.errors import BrokerError
from framecue.schemas.rules import RuleSet
from framecue.schemas.segment import SegmentHeaders, SubtitleHeaders, segment_headers, subtitle_headers
from framecue.schemas.topics import SEGMENTS, SUBTITLES
from tests.chaos.verifying import Session
from tests.support.clips import Picture, make_clip
from tests.support.encoders import PALETTE
from tests.support.fleet import PARTITIONS

SEGMENT_S = 2
FPS, SIZE = 5, (64, 36)
WRAP_S = Fraction(2**33, 90_000)
COLOURS = ("red", "green", "blue", "yellow", "white")
RULES = RuleSet.model_validate(
    {
        "scenes": [{"streams": "*", "labels": ["red", "green", "blue"]}],
        "events": [
            {"name": "red", "picture": ["red"]},
            {"name": "goal", "text": ["goal"], "combine": "text"},
            {"name": "blue goal", "picture": ["blue"], "text": ["goal"], "combine": "both", "tolerance": "6s"},
        ],
    }
)
OTHER_RULES = RuleSet.model_validate(
    {
        "scenes": [{"streams": "*", "labels": ["white", "yellow", "blue"]}],
        "events": [
            {"name": "goal", "text": ["goal"], "combine": "text"},
            {"name": "red", "picture": ["red"], "enter": 0.7},
            {"name": "green", "picture": ["green"]},
        ],
    }
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sent:
    """A message, and when it is due in seconds from the beginning."""

    due_s: float
    message: Message


@dataclass
class Film:
    """One stream's way through the run. `sessions` says what it must come to."""

    stream: str
    sent: list[Sent] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)


def films(seed: int, *, streams: int, seconds: float) -> list[Film]:
    """As many films, all kinds among them, of `seconds`."""
    kinds: tuple[Callable[[str, Random, float], Film], ...] = (_wrapping, _restarting, *[_in_sessions] * (streams - 2))
    out = []
    for number, kind in enumerate(kinds):
        random = Random(f"{seed}/{number}")
        out.append(kind(f"cam{number}", random, seconds - random.random() * SEGMENT_S))
    return [*out, _garbage("noise", Random(f"{seed}/noise"), seconds)]


class Player(threading.Thread):
    """Sends films as they are due, until all is written: a client that tries again whatever the broker does."""

    def __init__(self, connection: KafkaConnection, films: list[Film], *, speed: float = 1.0) -> None:
        super().__init__(name="player", daemon=True)
        self._connection, self._speed = connection, speed
        self._sent = sorted((s for film in films for s in film.sent), key=lambda s: s.due_s)
        self.sent = self.again = 0
        self.failed: BaseException | None = None

    def run(self) -> None:
        try:
            self._play()
        except BaseException as e:
            self.failed = e
            raise

    def _play(self) -> None:
        began_s = time.monotonic()
        sender = self._sender()
        waiting = list(reversed(self._sent))
        while waiting:
            time.sleep(max(0.0, began_s + waiting[-1].due_s / self._speed - time.monotonic()))
            due_s = (time.monotonic() - began_s) * self._speed
            batch = []
            while waiting and waiting[-1].due_s <= due_s:
                batch.append(waiting.pop().message)
            self._write(sender, batch)
            self.sent += len(batch)
        sender.close()

    def _write(self, sender: KafkaSender, batch: list[Message]) -> None:
        """Nobody knows how far it came when it fails: all again, in order, as any client would."""
        while True:
            try:
                for message in batch:
                    sender.send(message)
                sender.flush()
                return
            except BrokerError as e:
                self.again += len(batch)
                _log.warning("player: %s", e)
                time.sleep(0.2)

    def _sender(self) -> KafkaSender:
        while True:
            try:
                return KafkaSender(self._connection)
            except BrokerError:
                time.sleep(0.2)


@cache
def clip(colour: str, start: Fraction = Fraction(0), number: int = 0, container: str = "mpegts") -> bytes:
    """Two seconds of one colour; the corner differs by `number`, so that no two segments are equal."""

    def draw(index: int, at: Fraction) -> Picture:
        picture = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
        picture[:] = PALETTE[colour]
        for bit in range(12):
            picture[:4, bit * 4 : bit * 4 + 4] = 255 if number >> bit & 1 else 0
        return picture

    return make_clip(seconds=SEGMENT_S, fps=FPS, size=SIZE, pattern=draw, start=start, container=container)


def _in_sessions(stream: str, random: Random, seconds: float) -> Film:
    """Numbered segments in runs that end, each run with words that come too late, most of them in time to be joined."""
    film, at_s, run = Film(stream), random.random() * SEGMENT_S, 0
    while at_s < seconds:
        session, length = f"{stream}-{run}", random.randint(6, 16)
        length = max(1, min(length, round((seconds - at_s) / SEGMENT_S)))
        colour = random.choice(COLOURS)
        for seq in range(length):
            colour = random.choice(COLOURS) if random.random() < 0.4 else colour
            due_s = at_s + (seq + 1) * SEGMENT_S
            said = SegmentHeaders(session=session, seq=seq, start=Fraction(seq * SEGMENT_S), end=seq == length - 1)
            film.sent.append(Sent(due_s, _segment(stream, clip(colour), said)))
            if random.random() < 0.3:
                cue = {"start_ms": seq * 2000 + 200, "end_ms": seq * 2000 + 1700, "text": random.choice(WORDS)}
                due_s += random.uniform(-1, 9)
                film.sent.append(Sent(due_s, _words(stream, [cue], session=session)))
        film.sessions.append(Session(stream, length))
        at_s, run = at_s + length * SEGMENT_S, run + 1
    return film


def _wrapping(stream: str, random: Random, seconds: float) -> Film:
    """No headers, and an MPEG-TS clock that wraps after a third of the run; live lines are typed beside it."""
    length = max(1, int(seconds / SEGMENT_S))
    first = WRAP_S - SEGMENT_S * (length // 3) - 1
    film = Film(stream, sessions=[Session(stream, length)])
    for number in range(length):
        colour = random.choice(COLOURS)
        data = clip(colour, first + number * SEGMENT_S, number)  # the format keeps 33 bits of it
        film.sent.append(Sent((number + 1) * SEGMENT_S, _segment(stream, data)))
        if random.random() < 0.2:
            line = random.choice(WORDS).encode()
            film.sent.append(
                Sent((number + 1) * SEGMENT_S + random.random(), Message(SUBTITLES.name, stream.encode(), line))
            )
    return film


def _restarting(stream: str, random: Random, seconds: float) -> Film:
    """No headers, and MP4 files that each begin at 0, as FFmpeg's segment muxer makes them."""
    length = max(1, int(seconds / SEGMENT_S))
    film = Film(stream, sessions=[Session(stream, length)])
    for number in range(length):
        data = clip(random.choice(COLOURS), Fraction(0), number, "mp4")
        film.sent.append(Sent((number + 1) * SEGMENT_S, _segment(stream, data)))
    return film


def _garbage(stream: str, random: Random, seconds: float) -> Film:
    """What nobody can use, now and then: no media, no key, no JSON."""
    film, at_s = Film(stream), 0.0
    while (at_s := at_s + random.expovariate(1 / 7)) < seconds:
        bad = [
            Message(SEGMENTS.name, stream.encode(), random.randbytes(500)),
            Message(SEGMENTS.name, None, clip("red"), partition=random.randrange(PARTITIONS)),
            Message(SUBTITLES.name, stream.encode(), b"[{", (("content-type", b"application/json"),)),
        ]
        film.sent.append(Sent(at_s, random.choice(bad)))
    return film


WORDS = ("what a goal", "he runs", "a goal it is", "nothing yet", "red card")


def _segment(stream: str, data: bytes, said: SegmentHeaders | None = None) -> Message:
    return Message(SEGMENTS.name, stream.encode(), data, segment_headers(said) if said else ())


def _words(stream: str, cues: list[dict[str, object]], *, session: str) -> Message:
    headers = subtitle_headers(SubtitleHeaders(content_type="application/json", session=session))
    return Message(SUBTITLES.name, stream.encode(), json.dumps(cues).encode(), headers)
