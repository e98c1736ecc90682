"""`framecue say`: live lines, typed or piped, into a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from framecue import Client
from framecue.errors import MessageError, SetupError
from framecue.settings import load_settings

FROM_STDIN = "-"


def say_lines(
    stream: str,
    words: Iterable[str],
    *,
    language: str | None,
    client: Client | None = None,
    stdin: TextIO | None = None,
) -> None:
    """Sends the words as one line, or, where they are `-`, each line of `stdin` as it comes.

    Raises SetupError for an impossible stream id or where there is nothing to say, BrokerError where Kafka is away.
    """
    text = " ".join(words).strip()
    lines = _typed(sys.stdin) if text == FROM_STDIN else iter([text] if text else [])
    said = 0
    with Client.from_settings(load_settings()) as client:
        try:
            for line in lines:
                client.say(stream, line, language=language)
                said += 1
        except MessageError as e:
            raise SetupError(str(e)) from e
    if not said:
        raise SetupError("there is nothing to say; write the words behind the stream, or - to read them from stdin")


def _typed(stdin: TextIO) -> Iterator[str]:
    return filter(None, (line.strip() for line in stdin))
