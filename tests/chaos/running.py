"""One run: streams in real time, workers that die, servers that restart, and then the verdict.

It must not know how a stream is made, who is killed, or what is checked: that is `playing`, `killing` and `verifying`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from framecue.analysis.settings import MachineSettings
from framecue.broker.rules import apply_rules
from framecue.errors import BrokerError, StoreError
from framecue.schemas.rules import RuleSet
from framecue_services.cli.local.server import Server
from framecue_services.projector.view import differences
from tests.chaos.killing import WORKERS, Killer
from tests.chaos.playing import OTHER_RULES, RULES, Player, films
from tests.chaos.verifying import Topics, Verdict, unaccounted_input, unaccounted_media, verify
from tests.support.fleet import Fleet

AWAY_S = 3.0
"""How long a server that is restarted is away."""
READY_S, THROUGH_S, LATE_S, LEAVE_S = 120.0, 120.0, 180.0, 60.0
STEP_S, SAY_S = 0.05, 30.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Act:
    """Something that is done to the run, `at_s` seconds after its beginning; False where it is to be done again."""

    at_s: float
    what: str
    do: Callable[[], bool]


def run(
    fleet: Fleet,
    *,
    seed: int,
    seconds: float,
    kills: int,
    streams: int,
    kafka: Server | None,
    redis: Server | None,
    speed: float = 1.0,
) -> tuple[Verdict, Killer]:
    """Plays for `seconds` while workers are killed about `kills` times; servers that are given are restarted.

    With `speed` 2 the streams have twice as much media as that, and their clients are twice as quick.
    """
    random = Random(seed)
    acting = films(seed, streams=streams, seconds=speed * seconds)
    fleet.until(_rules(fleet, RULES), within_s=READY_S, what="the rules in force")
    for name, slot in WORKERS:
        fleet.start(name, slot)
    fleet.until(fleet.ready, within_s=READY_S, what="ready")
    player = Player(fleet.connection, acting, speed=speed)
    killer = Killer(fleet, random, every_s=0.7 * seconds / kills)  # some must wait, and some are in vain
    try:
        actor = Actor(_acts(fleet, seconds, kafka, redis))
        player.start()
        actor.start()
        _through(player, actor, killer, within_s=seconds + LATE_S)
        began_s = time.monotonic()
        _drain(fleet, killer)
        _log.info("all through %.1f s after the last segment", time.monotonic() - began_s)
        verdict = verify(
            fleet.broker,
            fleet.store,
            settings=MachineSettings(),
            sessions=[s for film in acting for s in film.sessions],
        )
    finally:
        killer.close()
    verdict.wrong += killer.unforeseen
    verdict.wrong += [f"process {pid} outlived its worker" for pid in fleet.left_behind()]
    verdict.wrong += [
        f"{w.name} {w.slot} ended with code {w.process.poll()}\n{w.last_lines()}"
        for w in fleet.workers.values()
        if w.process.poll() != 0 and not w.died_on_purpose
    ]
    verdict.wrong += [] if player.failed is None else [f"the player failed: {player.failed!r}"]
    return verdict, killer


def _acts(fleet: Fleet, seconds: float, kafka: Server | None, redis: Server | None) -> list[Act]:
    def done(do: Callable[[], object]) -> Callable[[], bool]:
        return lambda: do() is None

    acts = [
        Act(0.4 * seconds, "other rules", _rules(fleet, OTHER_RULES)),
        Act(0.75 * seconds, "the first rules", _rules(fleet, RULES)),
    ]
    for server, stopped, killed in ((kafka, 0.2, 0.6), (redis, 0.3, 0.8)):
        if server is not None:
            for at, how, end in ((stopped, "stopped", server.stop), (killed, "killed", server.kill)):
                acts.append(Act(at * seconds, f"{server.name} is {how}", done(end)))
                acts.append(Act(at * seconds + AWAY_S, f"{server.name} is started", done(server.launch)))
    return sorted(acts, key=lambda act: act.at_s)


def _rules(fleet: Fleet, rules: RuleSet) -> Callable[[], bool]:
    def put() -> bool:
        try:
            apply_rules(fleet.broker, rules)
        except BrokerError as e:
            _log.info("the rules again: %s", e)
            return False
        return True

    return put


class Actor(threading.Thread):
    """Does one act after the other, beside whoever kills."""

    def __init__(self, acts: Sequence[Act]) -> None:
        super().__init__(name="actor", daemon=True)
        self._acts = acts

    def run(self) -> None:
        began_s = time.monotonic()
        for act in self._acts:
            time.sleep(max(0.0, began_s + act.at_s - time.monotonic()))
            _log.info("%.0f s: %s", time.monotonic() - began_s, act.what)
            while not act.do():
                time.sleep(STEP_S)


def _through(player: Player, actor: Actor, killer: Killer, *, within_s: float) -> None:
    """Kills until the player has sent everything."""
    began_s = said_s = time.monotonic()
    while player.is_alive() or actor.is_alive():
        killer.step()
        assert time.monotonic() < began_s + within_s, f"the player sent {player.sent} messages, and not all"
        if (now_s := time.monotonic()) > said_s + SAY_S:
            said_s = now_s
            _log.info("%.0f s: %d sent, %d deaths", now_s - began_s, player.sent, killer.total)
        time.sleep(STEP_S)


def _drain(fleet: Fleet, killer: Killer) -> None:
    """Nobody dies any more; stage by stage, until all that was written is read and made into what it must be."""
    _await(fleet, killer, fleet.ready, "all workers ready")
    _await(fleet, killer, lambda: not any(unaccounted_input(Topics.read(fleet.broker))), "all input taken in")
    _leave(fleet, killer, "ingest")
    _await(fleet, killer, lambda: not any(unaccounted_media(Topics.read(fleet.broker))), "all media folded")
    _leave(fleet, killer, "fusion")
    _await(fleet, killer, lambda: not differences(fleet.broker, fleet.store), "all results in the store")
    _leave(fleet, killer, "projector")


def _await(fleet: Fleet, killer: Killer, condition: Callable[[], bool], what: str) -> None:
    """Waits for `condition`; where it does not come, the verdict says what is wrong."""
    end_s = time.monotonic() + THROUGH_S
    while time.monotonic() < end_s:
        killer.tend()
        try:
            if condition():
                _log.info("%s", what)
                return
        except (BrokerError, StoreError) as e:
            _log.info("%s: %s", what, e)
        time.sleep(0.5)
    _log.warning("not within %.0f s: %s\n%s", THROUGH_S, what, fleet.logs())


def _leave(fleet: Fleet, killer: Killer, name: str) -> None:
    """Ends the workers of a group in good order; some may still be armed, and come back before."""
    workers = [worker for worker in fleet.workers.values() if worker.name == name]
    _await(fleet, killer, lambda: all(worker.ready for worker in workers), f"{name} ready")
    for worker in workers:
        worker.terminate(within_s=LEAVE_S)
