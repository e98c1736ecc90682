"""Decoder children for threads that wait: a decoder that crashes, hangs or eats memory costs one segment, no more.

A child is a process of its own, started by exec with an environment that holds nothing but the way to our code. Its
answers are bytes that are checked (`framecue.media.child`), never objects. The pool must not know what is decoded.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from multiprocessing.connection import Connection
from types import MappingProxyType, TracebackType
from typing import Literal, Self

import msgpack

from framecue.errors import (
    DamagedMediaError,
    DecoderFailedError,
    FrameCueError,
    InternalError,
    LimitExceededError,
    SetupError,
    UnsupportedMediaError,
)
from framecue.media.child import READY, SETUP, Answer, Request, Setup
from framecue.media.decoding import DecodedSegment, DecodeLimits
from framecue.media.sampling import Sampling
from framecue.schemas.codec import LIMITS

DECODE = "framecue.media.decoding:decode_segment"
START_SECONDS = 60.0
"""Imports take 0.5 s; a machine that is busy with everything at once may need many times that."""
ANSWER_MAX_BYTES = 64 << 20
"""Above any answer: 60 pictures of 384 lines are 3 MB."""

Cause = Literal["crash", "wall", "cpu", "memory"]
_MEDIA_ERRORS = {e.__name__: e for e in (UnsupportedMediaError, DamagedMediaError)}


class DecoderPool:
    """At most `workers` children, each started when it is first needed and again after it was lost.

    `decode` may be called from any number of threads; each call has one child to itself. `task` is what children run,
    as `module:function`.
    """

    def __init__(
        self,
        workers: int,
        *,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008 (frozen)
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        task: str = DECODE,
    ) -> None:
        self.limits, self._sampling, self._task = limits, sampling, task
        self._workers = workers
        self._lock = threading.Lock()
        self._closed = False
        self._alive: set[_Child] = set()
        self._lost: Counter[Cause] = Counter()
        self._free: queue.LifoQueue[_Child | None] = queue.LifoQueue()  # the last used child is the warm one
        for _ in range(workers):
            self._free.put(None)

    @property
    def sampling(self) -> Sampling:
        return self._sampling

    @property
    def restarts(self) -> Mapping[Cause, int]:
        """How many children were lost so far, by cause."""
        return MappingProxyType(dict(self._lost))

    def decode(self, data: bytes, *, start: Fraction | None = None, program: int | None = None) -> DecodedSegment:
        """What `data` holds; blocks while a child works, and before that until one is free.

        Raises the MediaError tree; DecoderFailedError names the limit where the child was lost. InternalError is a
        fault of ours, or a pool that was closed.
        """
        child = self._free.get()
        try:
            child = child or self._started()
            return _opened(child.ask(Request(start=start, program=program), data, wall=self.limits.wall_seconds))
        except _LostError as e:
            raise self._counted(e) from e
        finally:
            if child is not None and child.lost:
                self._drop(child)
                child = None
            self._free.put(child)

    def close(self) -> None:
        """Ends every child, busy or not; who waits for one gets InternalError. May be called again."""
        with self._lock:
            self._closed = True
            for child in self._alive:
                child.kill()
        slots = [self._free.get() for _ in range(self._workers)]  # each is free again soon: its child is dead
        for slot in slots:
            if slot is not None:
                self._drop(slot)
            self._free.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _started(self) -> _Child:
        with self._lock:
            if self._closed:
                raise InternalError("the decoder pool is closed")
            child = _Child(self._task, self._sampling, self.limits)
            self._alive.add(child)
        if not child.is_ready():
            self._drop(child)
            if self._closed:
                raise InternalError("the decoder pool was closed")
            raise SetupError("a decoder process does not start; see its error above (is framecue[ingest] installed?)")
        return child

    def _drop(self, child: _Child) -> None:
        child.end()
        with self._lock:
            self._alive.discard(child)

    def _counted(self, lost: _LostError) -> FrameCueError:
        """What the caller is told about a child that was lost."""
        with self._lock:
            if self._closed:
                return InternalError("the decoder pool was closed while it decoded")
            self._lost[lost.cause] += 1
        limits = self.limits
        reasons: Mapping[Cause, str] = {
            "crash": f"the decoder crashed ({lost.detail})",
            "wall": f"the decoder did not answer within {limits.wall_seconds:g} s",
            "cpu": f"the decoder used more than {limits.cpu_seconds:g} s of CPU time",
            "memory": f"the decoder wanted more than {limits.memory_bytes >> 20} MiB of memory",
        }
        return DecoderFailedError(f"{reasons[lost.cause]}; the segment is damaged, or too large to decode")


class _LostError(Exception):
    """A child that will not answer any more."""

    def __init__(self, cause: Cause, *, detail: str = "") -> None:
        super().__init__(cause)
        self.cause, self.detail = cause, detail


class _Child:
    """One process and the socket to it; used by one thread at a time, ended by any."""

    def __init__(self, task: str, sampling: Sampling, limits: DecodeLimits) -> None:
        self.lost = False
        self._late = False
        ours, theirs = socket.socketpair()
        with theirs:
            setup = Setup(descriptor=theirs.fileno(), task=task, sampling=sampling, limits=limits)
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [sys.executable, "-P", "-m", "framecue.media.child", SETUP.dump_json(setup).decode()],
                env=_environment(),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket = Connection(ours.detach())

    def is_ready(self) -> bool:
        """Whether the child takes requests; blocks until it does or failed to start."""
        try:
            return self._within(START_SECONDS, lambda: self._socket.recv_bytes(len(READY))) == READY
        except _LostError:
            return False

    def ask(self, request: Request, data: bytes, *, wall: float) -> Answer:
        """The child's answer; raises _LostError when there is none in `wall` seconds, or none that can be read."""

        def exchange() -> bytes:
            self._socket.send_bytes(msgpack.packb(request.model_dump()))
            self._socket.send_bytes(data)
            return self._socket.recv_bytes(ANSWER_MAX_BYTES)

        raw = self._within(wall, exchange)
        try:
            answer = Answer.model_validate(msgpack.unpackb(raw, raw=False, **LIMITS))
        except (ValueError, msgpack.UnpackException) as e:
            self.lost = True
            raise _LostError("crash", detail="its answer cannot be read") from e
        if answer.failure is not None and answer.failure.error == DecoderFailedError.__name__:
            self.lost = True  # what state its libraries are in, nobody knows
            raise _LostError("memory")
        return answer

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """Ends the process and waits until it is gone. Not while another thread asks."""
        self.kill()
        self._process.wait()
        self._socket.close()

    def _within(self, seconds: float, exchange: Callable[[], bytes]) -> bytes:
        """What `exchange` gives. The child is killed after `seconds`, which ends any wait for it."""
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            return exchange()
        except (EOFError, OSError) as e:
            self.lost = True
            raise self._post_mortem() from e
        finally:
            timer.cancel()
            timer.join()
            self.lost = self.lost or self._late

    def _expire(self) -> None:
        self._late = True
        self.kill()

    def _post_mortem(self) -> _LostError:
        self.kill()  # it may live on with its socket closed; how a dead one died is not changed by this
        code = self._process.wait()
        if self._late or code == -signal.SIGALRM:
            return _LostError("wall")
        if code == -signal.SIGPROF:
            return _LostError("cpu")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return _LostError("crash", detail=how)


def _opened(answer: Answer) -> DecodedSegment:
    """The segment in `answer`; raises the error in it."""
    failure = answer.failure
    if answer.segment is not None:
        return answer.segment
    if failure is None:
        raise InternalError("a decoder answered nothing")
    if failure.error == LimitExceededError.__name__:
        raise LimitExceededError(failure.what, failure.limit, failure.got)
    if failure.error in _MEDIA_ERRORS:
        raise _MEDIA_ERRORS[failure.error](failure.reason)
    raise InternalError(f"decoding failed with {failure.error}: {failure.reason}")


def _environment() -> dict[str, str]:
    """All that a child gets to know of ours: where the code lies. OpenBLAS would reserve memory for every core."""
    return {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
