"""The client's lines: few, and never louder than a warning."""

from __future__ import annotations

import logging

import pytest

from framecue.broker.kafka.client_log import EVERY_S, ClientLog, quiet_client


def line(text: str, *args: object, level: int = logging.ERROR, name: str = "kafka.producer") -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, text, args, None)


def test_a_line_comes_once_in_a_while_and_says_how_many_were_left_out() -> None:
    now_s = 100.0
    log = ClientLog(now_s=lambda: now_s)
    assert [log.filter(line("node %d is away", n)) for n in range(5)] == [True, False, False, False, False]
    assert log.filter(line("another"))
    now_s += EVERY_S
    again = line("node %d is away", 7)
    assert log.filter(again)
    assert again.getMessage() == "node 7 is away (4 more like it)"


@pytest.mark.parametrize(
    ("given", "left"),
    [(logging.CRITICAL, logging.WARNING), (logging.ERROR, logging.WARNING), (logging.INFO, logging.INFO)],
)
def test_a_line_is_a_warning_at_most(given: int, left: int) -> None:
    record = line("x", level=given)
    assert ClientLog().filter(record)
    assert (record.levelno, record.levelname) == (left, logging.getLevelName(left))


def test_an_offset_that_is_being_decided_is_no_news() -> None:
    assert not ClientLog().filter(line("Unknown error fetching offsets for %s: %s", "x", "UnstableOffsetCommitError"))


def test_the_clients_loggers_are_quiet_once_it_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    import kafka  # noqa: F401

    quiet_client()
    quiet_client()
    logging.getLogger("kafka.producer.sender").error("seen by %s", "the test of quiet_client")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("WARNING", "seen by the test of quiet_client")]
