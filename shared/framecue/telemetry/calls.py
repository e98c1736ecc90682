"""Calls of what a service rests on, measured: models and the result store. It must not know either."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, get_args

from framecue.telemetry.metrics import add, record
from framecue.telemetry.names import MODEL_DURATION, MODEL_FAILURES, MODEL_ITEMS, STORE_DURATION

Input = Literal["frames", "texts", "prompts", "caption"]
"""What a model is given; for a caption its frames."""


def show_model_failures() -> None:
    """Shows that no call failed so far: no alert sees a step from nothing to one."""
    for given in get_args(Input):
        add(MODEL_FAILURES, 0, input=given)


@contextmanager
def model_call(given: Input, items: int) -> Generator[None]:
    """Around one call of a model with so many frames or texts."""
    began_s = time.monotonic()
    try:
        yield
    except Exception:
        add(MODEL_FAILURES, input=given)
        raise
    finally:
        record(MODEL_DURATION, time.monotonic() - began_s, input=given)
        record(MODEL_ITEMS, items, input=given)


@contextmanager
def store_call(call: str) -> Generator[None]:
    """Around one call of the result store."""
    began_s = time.monotonic()
    try:
        yield
    finally:
        record(STORE_DURATION, time.monotonic() - began_s, call=call)
