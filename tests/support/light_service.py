"""One service as a process, wired as in production but with the light model, and with a fault if one is asked for.

    python -m tests.support.light_service fusion --fault '{"die_at": "before commit", "die_from": 5}'

Settings come from `FRAMECUE_*` variables. It must not know any test.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Literal

from framecue.broker.protocol import Broker, Record
from framecue.broker.stage import Outputs, Stage
from framecue.errors import FrameCueError
from framecue.settings import Settings, load_settings
from framecue_services.hosting import host, log_to_stderr
from tests.support.encoders import light_model

Point = Literal["before flush", "after flush", "before offsets", "after offsets", "before commit", "after commit"]
POINTS: tuple[Point, ...] = (
    "before flush", "after flush", "before offsets", "after offsets", "before commit", "after commit"
)  # fmt: skip
"""Where a worker may die in the transaction of its batch."""
PURPOSE = "dies on purpose"
"""Its last line, where it dies of its fault."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one service.

    It kills itself at `die_at`, in its first transaction with offsets from the number `die_from` on. Or, on a batch
    with a record that has `mark` in its key, value or headers (empty: any record): `on_mark` raises, kills the process
    before the work or after it (`die_done`: what is outside is written, nothing is committed), or takes `seconds` more.
    """

    die_at: Point | None = None
    die_from: int = 1
    on_mark: Literal["raise", "die", "die_done", "wait"] | None = None
    mark: str = ""
    seconds: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main(name: str, fault: Fault) -> int:
    """Runs until told to stop, as `framecue run NAME` does."""
    settings = load_settings()
    log_to_stderr(settings.telemetry.logs, service=name, slot=settings.slot)
    module = import_module(f"framecue_services.{name}.__main__")
    if hasattr(module, "load_model"):
        module.load_model = lambda *_, **__: light_model()
    module.host = _host_with(fault)
    if fault.die_at is not None:
        _arm(fault.die_at, fault.die_from)
    try:
        module.run(settings)
    except FrameCueError as e:
        sys.stderr.write(f"framecue: {e}\n")
        return 1
    return 0


def _host_with(fault: Fault) -> Callable[..., None]:
    def hosted(name: str, settings: Settings, *, topics: Sequence[str], stage: Callable[[Broker], Stage]) -> None:
        host(name, settings, topics=topics, stage=lambda broker: FaultyStage(stage(broker), fault))

    return hosted


class FaultyStage:
    """`broker.stage.Stage`: another one, with what `fault` does on a mark."""

    def __init__(self, stage: Stage, fault: Fault) -> None:
        self._stage, self._fault = stage, fault
        self.tick_every_s = stage.tick_every_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    def handle(self, batch: Sequence[Record]) -> Outputs:
        fault = self._fault
        if fault.on_mark is None or not any(_holds(record, fault.mark.encode()) for record in batch):
            return self._stage.handle(batch)
        match fault.on_mark:
            case "raise":
                raise RuntimeError("a fault of our own, on purpose")
            case "die":
                _die(f"at a batch of {len(batch)}")
            case "wait":
                time.sleep(fault.seconds)
        outputs = self._stage.handle(batch)
        if fault.on_mark == "die_done":
            _die("after the work")
        return outputs


def _holds(record: Record, mark: bytes) -> bool:
    return any(mark in part for part in (record.key or b"", record.value or b"", *(v for _, v in record.headers)))


def _die(where: str) -> None:
    sys.stderr.write(f"{PURPOSE}: {where}\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(point: Point, first: int) -> None:
    """Dies at `point` of the first transaction of its group that is number `first` or later."""
    from kafka import KafkaProducer
    from kafka.producer.transaction_manager import TransactionManager

    when, step = point.split()
    begun = 0
    begin = TransactionManager.begin_transaction

    def is_of_group(transactions: Any) -> bool:
        """What no member of a group writes has transactions under another id."""
        return transactions is not None and ".messages-" not in transactions.transactional_id

    def counted(transactions: Any) -> None:
        nonlocal begun
        begun += is_of_group(transactions)
        begin(transactions)

    def deadly(original: Callable[..., Any], transactions_of: Callable[[Any], Any], *, waits: bool) -> Any:
        def step(owner: Any, *given: Any, **named: Any) -> Any:
            if begun < first or not is_of_group(transactions_of(owner)):
                return original(owner, *given, **named)
            if when == "before":
                _die(point)
            result = original(owner, *given, **named)
            if not waits:
                _die(point)
            wait = result.wait

            def last(*given: Any) -> None:
                wait(*given)
                _die(point)

            result.wait = last  # the caller wakes the sender first
            return result

        return step

    TransactionManager.begin_transaction = counted
    if step == "flush":
        KafkaProducer.flush = deadly(KafkaProducer.flush, lambda producer: producer._transaction_manager, waits=False)
        return
    name = {"offsets": "send_offsets_to_transaction", "commit": "begin_commit"}[step]
    setattr(TransactionManager, name, deadly(getattr(TransactionManager, name), lambda it: it, waits=True))


if __name__ == "__main__":
    given = json.loads(sys.argv[3]) if sys.argv[2:3] == ["--fault"] else {}
    sys.exit(main(sys.argv[1], Fault(**given)))
