"""Who dies when: workers, by SIGKILL, at any moment and at six points of a commit; and who is only thought dead.

A record that was worked on at three deaths in a row is given up by design (`broker.attempts`). So a group is left alone
while it works on something for the third time: as in life, where what kills workers at random does not wait for one
record. It must not know what a run must come to.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from queue import Empty, Queue
from random import Random
from typing import Any

from framecue.broker.kafka.connection import Admin
from framecue.errors import BrokerError
from tests.support.fleet import Fleet, Worker
from tests.support.light_service import POINTS, Fault

WORKERS = (("ingest", "0"), ("ingest", "1"), ("fusion", "0"), ("fusion", "1"), ("projector", "0"))
ARMED = 0.6
"""How many of those that come back die by themselves, at a point of a commit."""
NOTED_MAX = 1
"""The attempt that is noted in a group that may die: it dies once more if it is armed, and no third time."""
STALLED, STALL_S = 0.08, 9.0
"""How many are stopped instead of killed, for longer than a session, and go on afterwards as if nothing were."""
OUTSIDE = "at any moment"
LOOK_S = 1.0


class Killer:
    """Kills workers of `fleet` every `every_s` on average, and has them come back, some armed. From one thread.

    `deaths` counts them by group and place, `stalls` are of those that were only stopped for a while, `unforeseen` are
    ends that were nobody's purpose.
    """

    def __init__(self, fleet: Fleet, random: Random, *, every_s: float) -> None:
        self._fleet, self._random, self._every_s = fleet, random, every_s
        self._attempts = Attempts(fleet)
        self._noted: dict[str, int] = {}
        self._killed: set[tuple[str, str]] = set()
        self._points = list(POINTS)
        self._next_s = time.monotonic() + every_s
        self.deaths: Counter[tuple[str, str]] = Counter()
        self.unforeseen: list[str] = []
        self.stalls = 0
        self._stalled: dict[tuple[str, str], float] = {}

    @property
    def total(self) -> int:
        return self.deaths.total()

    def step(self) -> None:
        """Brings back who died, and kills who is next, if it is time."""
        self.tend(armed=True)
        if time.monotonic() < self._next_s:
            return
        living = [worker for worker in self._fleet.workers.values() if worker.alive]
        if living and self._may_die(worker := self._random.choice(living)):
            who = worker.name, worker.slot
            if self._random.random() < STALLED:
                worker.stop()
                self._stalled[who] = time.monotonic() + STALL_S
                self.stalls += 1
            else:
                worker.kill()
                self._killed.add(who)
            self._next_s = time.monotonic() + self._random.expovariate(1 / self._every_s)

    def tend(self, *, armed: bool = False) -> None:
        """Brings back who died, and counts; lets go on who was stopped for long enough."""
        for who in [who for who, until_s in self._stalled.items() if time.monotonic() > until_s]:
            del self._stalled[who]
            self._fleet.worker(*who).cont()
        for worker in self._fleet.tend(self._fault_of if armed else lambda _: Fault()):
            self._count(worker)

    def close(self) -> None:
        self._attempts.close()

    def _count(self, worker: Worker) -> None:
        who, code = (worker.name, worker.slot), worker.ends[-1]
        if who in self._killed:
            self._killed.discard(who)
            self.deaths[worker.name, OUTSIDE] += 1
        elif code == -9 and worker.last_fault and (point := worker.last_fault.die_at):
            self.deaths[worker.name, point] += 1
        else:
            self.unforeseen.append(
                f"{worker.name} {worker.slot} ended by itself with code {code}\n{worker.last_lines()}"
            )

    def _fault_of(self, worker: Worker) -> Fault:
        if self._random.random() > ARMED or self._attempts.look() is None or not self._may_die(worker):
            return Fault()
        return Fault(die_at=self._random.choice(self._points), die_from=self._random.randint(1, 12))

    def _may_die(self, worker: Worker) -> bool:
        """Whether nothing of its group is being tried again. While the broker is away nobody begins an attempt."""
        self._noted = self._attempts.look() or self._noted
        return self._noted.get(worker.name, 0) <= NOTED_MAX


class Attempts(threading.Thread):
    """Looks again and again for the highest attempt that is noted beside the offsets of each group."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(name="attempts", daemon=True)
        self._groups = {fleet.connection.group(name): name for name, _ in WORKERS}
        self._admin = Admin(fleet.connection)
        self._wanted, self._closed = threading.Event(), False
        self._looks: Queue[dict[str, int]] = Queue()
        self.start()

    def look(self) -> dict[str, int] | None:
        """The highest of each group, as of now; None where the broker does not say so at once."""
        while not self._looks.empty():
            self._looks.get()  # somebody waited for it in vain
        self._wanted.set()
        try:
            return self._looks.get(timeout=LOOK_S)
        except Empty:
            return None

    def run(self) -> None:
        while self._wanted.wait() and not self._closed:
            self._wanted.clear()
            try:
                found = self._admin.ask(
                    "asking for notes", lambda client: client.list_group_offsets(list(self._groups))
                )
            except BrokerError:
                continue
            self._looks.put({self._groups[group]: _highest(places.values()) for group, places in found.items()})

    def close(self) -> None:
        self._closed = True
        self._wanted.set()
        self.join()
        self._admin.close()


def _highest(places: Iterable[Any]) -> int:
    notes = [str(place.metadata or "").partition(" ")[0] for place in places]
    return max((int(note) for note in notes if note.isdigit()), default=0)
