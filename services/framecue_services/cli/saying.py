"""`framecue say`: live lines, typed or piped, into a stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from framecue import Client
from framecue.errors import MessageError, SetupError
from framecue.settings import load_settings
from framecue.telemetry.setup import reporting
from framecue_services.cli.stream_ids import typed_stream
from framecue_services.cli.wording import clean

FROM_STDIN = "-"


def say_lines(stream: str, words: Iterable[str], *, language: str | None) -> None:
    """Sends the words as one line, or, where they are `-`, each line of stdin as it comes.

    Bytes that are no UTF-8 become �; a typed line that cannot be sent is told, and the next one goes. Raises SetupError
    for an impossible stream id, for words that cannot be sent or none at all, BrokerError where Kafka is away.
    """
    text = " ".join(words).strip()
    typed = text == FROM_STDIN
    stream = typed_stream(stream)
    lines = _typed(sys.stdin.buffer) if typed else iter([_readable(os.fsencode(text))] if text else [])
    said = 0
    settings = load_settings()
    told = settings.telemetry.reporting("say", slot=settings.slot, prometheus="never")
    with reporting(told), Client.from_settings(settings) as client:
        for line in lines:
            try:
                client.say(stream, line, language=language)
            except MessageError as e:
                if not typed:
                    raise SetupError(str(e)) from e
                print(f"framecue: {clean(str(e))}", file=sys.stderr)
            else:
                said += 1
    if not said:
        raise SetupError("there is nothing to say; write the words behind the stream, or - to read them from stdin")


def _typed(stdin: BinaryIO) -> Iterator[str]:
    return filter(None, (_readable(line).strip() for line in stdin))


def _readable(line: bytes) -> str:
    return line.decode("utf-8", "replace")
