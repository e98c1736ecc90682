"""Words that people send: whole characters only. JSON can name half of one, which nothing else can hold."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise ValueError("holds half a character (a lone surrogate)") from e
    return text


Words: TypeAlias = Annotated[str, AfterValidator(_whole)]
