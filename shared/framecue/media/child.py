"""A decoder process: reads a request, runs its task, writes the answer. It holds no secret and may die at any moment.

    argv[1]              a `Setup` in JSON; the descriptor named in it is a socket to the pool
    child  -> pool       b"ready"
    pool   -> child      a `Request` in msgpack, then the segment's bytes
    child  -> pool       an `Answer` in msgpack

Messages are framed by `Connection.send_bytes` and never pickled: whoever takes over a decoder must not get from its
answers to the pool's process. It must not know topics, streams, or who waits.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from fractions import Fraction
from multiprocessing.connection import Connection

import msgpack
from pydantic import TypeAdapter

from framecue.errors import DecoderFailedError, LimitExceededError, MediaError
from framecue.media.decoding import DecodedSegment, DecodeLimits
from framecue.media.opening import OUT_OF_MEMORY
from framecue.media.sampling import Sampling
from framecue.schemas.base import Seconds, Wire

READY = b"ready"
OPEN_FILES = 64
"""Descriptors that Python and a decoder need, with room; a flood of them ends here."""
GRACE_SECONDS = 10.0
"""Past its wall time a child ends itself, should the pool that would have ended it be gone."""

Task = Callable[..., DecodedSegment]
"""`decode_segment`, or what a test puts in its place."""


class Setup(Wire):
    """What a child is told when it starts. `task` is `module:function`."""

    descriptor: int
    task: str
    sampling: Sampling
    limits: DecodeLimits


class Request(Wire):
    start: Seconds | None
    program: int | None


class Failure(Wire):
    """A MediaError by the name of its class; `what`, `limit` and `got` where it is a LimitExceededError."""

    error: str
    reason: str
    what: str = ""
    limit: float = 0
    got: float | None = None


class Answer(Wire):
    """One of the two. A failure whose `error` is no MediaError is a fault of ours."""

    segment: DecodedSegment | None = None
    failure: Failure | None = None


SETUP: TypeAdapter[Setup] = TypeAdapter(Setup)


def main(setup: Setup) -> None:
    """Serves requests until the pool closes the socket."""
    pool = Connection(setup.descriptor)
    module, _, name = setup.task.partition(":")
    task: Task = getattr(importlib.import_module(module), name)
    _confine(setup.limits)
    pool.send_bytes(READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # codecs write there, at a stranger's bidding
    while True:
        try:
            request = Request.model_validate(msgpack.unpackb(pool.recv_bytes()))
            data = pool.recv_bytes()
        except EOFError:
            return
        answer = _answer(task, data, request, setup)
        pool.send_bytes(msgpack.packb(answer.model_dump()))


def _confine(limits: DecodeLimits) -> None:
    """Bounds the process for good; after its imports, which may open more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # for the pool, which then closes; some tell all of a service
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the default action ends it, inside C code too
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def _answer(task: Task, data: bytes, request: Request, setup: Setup) -> Answer:
    limits = setup.limits
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)  # of this segment; RLIMIT_CPU would add them up
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + GRACE_SECONDS)
    start: Fraction | None = request.start
    try:
        segment = task(data, start=start, program=request.program, sampling=setup.sampling, limits=limits)
        return Answer(segment=segment)
    except LimitExceededError as e:
        failure = Failure(error=type(e).__name__, reason=e.reason, what=e.what, limit=e.limit, got=e.got)
    except MediaError as e:
        failure = Failure(error=type(e).__name__, reason=e.reason)
    except MemoryError:
        failure = Failure(error=DecoderFailedError.__name__, reason=OUT_OF_MEMORY)
    except Exception as e:  # the pool raises it as a fault of ours, under its name
        failure = Failure(error=type(e).__name__, reason=str(e))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Answer(failure=failure)


if __name__ == "__main__":
    main(SETUP.validate_json(sys.argv[1]))
