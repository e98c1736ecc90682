"""The exception tree. Foreign errors are mapped to it where they are met, so a handler can decide from the type.

FrameCueError
├── InputError            the data's fault: a dead letter or a degraded window, never a stopped partition
│   ├── MessageError      a key, header or value that does not follow the contract
│   ├── MediaError        a media segment that cannot be used
│   │   ├── UnsupportedMediaError   a container, codec or layout that is not read
│   │   ├── DamagedMediaError       nothing usable came out
│   │   ├── LimitExceededError      more pixels, frames, seconds or bytes than allowed
│   │   └── DecoderFailedError      the decoder crashed, hung, or passed its memory or CPU limit
│   ├── SubtitleError     a subtitle document that cannot be read
│   └── RulesError        a rules file or record that does not hold together
├── InternalError         our own fault or a dependency's: retried, and past a rate the worker stops
│   ├── ModelError        a model failed on a batch
│   ├── BrokerError       the broker refused or lost something: rewind to what is committed and go on
│   │   └── DisplacedError   another worker has this one's place: stop
│   ├── FaultRateError    too many records failed by our own fault: stop, unready
│   ├── DeliveryError     the receiver of a webhook did not take an event: a dead letter, and the next
│   └── StoreError        the result store refused or lost something
└── SetupError            what a person must mend first: settings, a missing package, a wrong model folder
"""

from __future__ import annotations


class FrameCueError(Exception):
    """The root. `str()` is one sentence that a person can act on."""


class InputError(FrameCueError):
    """The data's fault. `reason` is the sentence that goes into the dead letter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageError(InputError):
    """A key, header or value that does not follow the contract."""


class MediaError(InputError):
    """A media segment that cannot be used."""


class UnsupportedMediaError(MediaError):
    """A container, codec or layout that is not read."""


class DamagedMediaError(MediaError):
    """Nothing usable came out of the segment."""


class LimitExceededError(MediaError):
    """More of something than the limits allow.

    `what` names the limit; `limit` and `got` are in its unit (`got` is None where it was not measured).
    """

    def __init__(self, what: str, limit: float, got: float | None = None) -> None:
        found = "" if got is None else f", got {got:g}"
        super().__init__(f"the segment exceeds the limit of {limit:g} {what}{found}")
        self.what, self.limit, self.got = what, limit, got


class DecoderFailedError(MediaError):
    """The decoder process crashed, hung, or passed a resource limit; the worker goes on with a new one."""


class SubtitleError(InputError):
    """A subtitle document that cannot be read."""


class RulesError(InputError):
    """A rules file that does not hold together. `line` counts from 1; None where no line is to blame."""

    def __init__(self, reason: str, *, source: str = "rules", line: int | None = None) -> None:
        where = source if line is None else f"{source}:{line}"
        super().__init__(f"{where}: {reason}")
        self.source, self.line = source, line


class InternalError(FrameCueError):
    """Our own fault, or that of something we depend on."""


class ModelError(InternalError):
    """A model failed on a batch."""


class BrokerError(InternalError):
    """The broker refused or lost something."""


class DisplacedError(BrokerError):
    """Another worker runs under the same group and slot; this one must stop."""


class FaultRateError(InternalError):
    """So many of the last records failed by our own fault that going on would empty a topic into the dead letters."""


class DeliveryError(InternalError):
    """The receiver of a webhook did not take an event."""


class StoreError(InternalError):
    """The result store refused or lost something."""


class SetupError(FrameCueError):
    """What a person must mend first; the message names the cure."""
