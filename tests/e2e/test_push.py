"""`framecue push`, `say`, `watch`, `latest` and `history` as a user runs them, on a real Kafka and a real Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from framecue.broker.kafka.broker import KafkaBroker
from framecue.broker.kafka.connection import KafkaConnection
from framecue.broker.kafka.topics import create_topics
from framecue.broker.protocol import Broker
from framecue.broker.publishing import result_message
from framecue.clock import SystemClock
from framecue.schemas.annotation import JoinedCue
from framecue.schemas.segment import SegmentHeaders, parse_segment_headers, parse_subtitle_headers
from framecue.store.redis import RedisStore
from framecue.timeline import rfc3339
from framecue_services.cli.local.kafka_server import KafkaServer
from tests.support.clips import make_clip
from tests.support.servers import free_port
from tests.unit.cli.results import annotation, caption, event

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""The Kafka client leaves connections open that it could not make, while a broker is away."""
COMMAND = (sys.executable, "-m", "framecue_services.cli")
HOSTILE = "\x1b[31mred\x9b2J[bold]x[/bold]"
DEADLINE_S = 60.0
Environment = dict[str, str]


def deployment(bootstrap: str, redis_url: str = "redis://127.0.0.1:1/0") -> Environment:
    name = uuid4().hex[:8]
    return {
        **os.environ,
        "FRAMECUE_KAFKA__BOOTSTRAP": bootstrap,
        "FRAMECUE_KAFKA__PREFIX": f"push-{name}.",
        "FRAMECUE_REDIS__URL": redis_url,
        "FRAMECUE_REDIS__PREFIX": f"{name}:",
    }


@contextmanager
def broker_of(environment: Environment) -> Generator[Broker]:
    connection = KafkaConnection(environment["FRAMECUE_KAFKA__BOOTSTRAP"], environment["FRAMECUE_KAFKA__PREFIX"])
    create_topics(connection, partitions=1, replication=1)
    made = KafkaBroker(connection)
    yield made
    made.close()


@pytest.fixture(scope="module")
def environment(kafka: str, redis_url: str) -> Environment:
    return deployment(kafka, redis_url)


@pytest.fixture(scope="module")
def broker(environment: Environment) -> Generator[Broker]:
    with broker_of(environment) as made:
        yield made


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with words beside it."""
    folder = tmp_path_factory.mktemp("film")
    make_clip(folder / "film.ts", seconds=4, fps=10, size=(64, 36), container="mpegts")
    (folder / "film.srt").write_text("1\n00:00:02,500 --> 00:00:03,000\nhello\n")
    return folder / "film.ts"


def run(environment: Environment, *arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


def sent(broker: Broker, stream: str) -> list[SegmentHeaders]:
    records = broker.read("segments", partition=0)
    return [parse_segment_headers(r.headers) for r in records if r.key == stream.encode()]


def wait_until(what: Callable[[], object]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < until, "it never came"


def test_a_film_goes_as_one_run_with_its_words_in_the_pieces_that_they_belong_to(
    environment: Environment, broker: Broker, film: Path
) -> None:
    done = run(environment, "push", film)
    assert done.returncode == 0, done.stderr
    assert "1 lines from film.srt" in done.stderr
    assert "2 segments, 0:04 of media" in done.stderr
    first, second = sent(broker, "film")
    assert (first.seq, first.start, first.end, first.cues) == (0, 0, False, ())
    assert (second.seq, second.start, second.end) == (1, 2, True)
    assert [(c.start_ms, c.text) for c in second.cues] == [(2500, "hello")]
    assert first.captured_at_ms is None, "nobody filmed it now"
    run(environment, "push", film)
    assert len({headers.session for headers in sent(broker, "film")}) == 2, "a session for each run"


def test_a_lag_is_taken_off_the_words(environment: Environment, broker: Broker, film: Path) -> None:
    assert run(environment, "push", film, "--stream", "late", "--lag", "1.5").returncode == 0
    first, second = sent(broker, "late")
    assert [(h.lag_ms, [c.start_ms for c in h.cues]) for h in (first, second)] == [(1500, [2500]), (1500, [])]


def test_in_real_time_and_rounds_until_it_is_interrupted_is_one_whole_run(
    environment: Environment, broker: Broker, film: Path
) -> None:
    before_ms = SystemClock().now_ms()
    arguments = [*COMMAND, "push", str(film), "--stream", "live", "--realtime", "--loop", "--segment-seconds", "1"]
    running = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(sent(broker, "live")) >= 5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 130
    assert "to the stream live" in said
    headers = sent(broker, "live")
    assert [h.seq for h in headers] == list(range(len(headers)))
    assert [h.end for h in headers] == [False] * (len(headers) - 1) + [True]
    captured = [(h.captured_at_ms or 0) - int(1000 * (h.start or 0)) for h in headers]
    assert len(set(captured)) == 1, "media time runs with the wall"
    assert before_ms < captured[0] < SystemClock().now_ms() - 4000


def test_nothing_is_lost_while_the_broker_is_away(own_kafka: KafkaServer, film: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    environment = deployment(own_kafka.bootstrap)
    arguments = [*COMMAND, "push", str(film), "--stream", "live", "--realtime", "--loop", "--segment-seconds", "1"]
    with broker_of(environment) as broker:
        running = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
        with heard.open("w") as told:
            watching = subprocess.Popen([*COMMAND, "watch"], env=environment, stderr=told)
        wait_until(lambda: sent(broker, "live"))
    own_kafka.kill()
    wait_until(lambda: "waiting for it" in heard.read_text())
    own_kafka.start()
    wait_until(lambda: "Kafka is back" in heard.read_text())
    watching.send_signal(signal.SIGINT)
    assert watching.wait(DEADLINE_S) == 130
    with broker_of(environment) as broker:
        wait_until(lambda: len(sent(broker, "live")) >= 6)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=DEADLINE_S)
        headers = sent(broker, "live")
    assert running.returncode == 130, said
    assert sorted({h.seq for h in headers}) == list(range(len({h.seq for h in headers}))), "none is missing"
    assert headers[-1].end


def test_lines_that_are_typed_stand_in_the_stream(environment: Environment, broker: Broker) -> None:
    assert run(environment, "say", "cam1", "and", "it is", "a goal", "--language", "en").returncode == 0
    assert run(environment, "say", "cam1", "-", stdin="one\n\n two \n").returncode == 0
    records = [r for r in broker.read("subtitles", partition=0) if r.key == b"cam1"]
    assert [r.value for r in records] == [b"and it is a goal", b"one", b"two"]
    assert [parse_subtitle_headers(r.headers).language for r in records] == ["en", None, None]


def test_a_typed_line_that_cannot_be_sent_is_told_and_the_next_one_goes(
    environment: Environment, broker: Broker
) -> None:
    typed = b"caf\xe9\n" + b"x" * 10_001 + b"\nand on\n"
    done = subprocess.run(
        [*COMMAND, "say", "typed", "-"], env=environment, input=typed, capture_output=True, timeout=DEADLINE_S
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (0, 1)
    assert b"longer than a live line may be" in done.stderr
    sent = [r.value for r in broker.read("subtitles", partition=0) if r.key == b"typed"]
    assert sent == ["caf\ufffd".encode(), b"and on"]


def test_watching_gives_json_lines_in_a_pipe_until_it_is_interrupted(environment: Environment, broker: Broker) -> None:
    arguments = [*COMMAND, "watch", "w-*", "--kinds", "events", "--since", "oldest"]
    running = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
    results = [annotation(0, stream="w-1"), event("goal", 0, stream="w-1"), event("goal", 0, stream="other")]
    broker.commit([result_message(result, None) for result in results])
    assert running.stdout is not None
    line = json.loads(running.stdout.readline())
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=DEADLINE_S)
    assert (line["type"], line["stream"], rest, running.returncode) == ("event", "w-1", "", 130)


def test_latest_is_a_table_of_all_or_a_page_of_one(environment: Environment) -> None:
    store = RedisStore(environment["FRAMECUE_REDIS__URL"], prefix=environment["FRAMECUE_REDIS__PREFIX"])
    words = (JoinedCue(start_ms=0, end_ms=900, text=f"hello {HOSTILE}", source="live", lag_ms=3000),)
    now = rfc3339(SystemClock().now_ms())
    said = caption(1, "a street, it seems").model_copy(update={"stream": "t-1"})
    store.put([annotation(1, stream="t-1", cues=words, published_at=now), event("goal", 0, stream="t-1"), said])
    store.close()
    table = run(environment, "latest")
    assert table.returncode == 0, table.stderr
    header, row = table.stdout.splitlines()
    assert header.split() == ["stream", "seen", "scene", "on", "now", "words", "description"]
    for part in ("t-1", "s ago", "a street 0.80", "goal", "hello [31mred2J[bold]x[/bold]", "a street, it seems"):
        assert part in row.replace("just now", "0 s ago")
    assert row.count("\t") == header.count("\t") == 5, "a line for each stream, however long its words are"
    page = run(environment, "latest", "t-1").stdout
    for part in ("0:02 to 0:04", "revision 1, final", "runner-up 0.10", "3 s late", "since 0:00", "a street, it seems"):
        assert part in page
    assert not any(c in table.stdout + page for c in "\x1b\x9b")
    (value,) = map(json.loads, run(environment, "latest", "--json").stdout.splitlines())
    assert (value["stream"], value["annotation"]["start_ms"], len(value["open_events"])) == ("t-1", 2000, 1)
    unknown = run(environment, "latest", "t-2")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "framecue: nothing is known of the stream 't-2'; known are: t-1\n",
    )


def test_history_gives_what_was_published_of_a_stream(environment: Environment, broker: Broker) -> None:
    results = [
        annotation(0, stream="h-1"),
        annotation(0, stream="h-1", revision=2),
        event("goal", 0, 2000, stream="h-1"),
    ]
    broker.commit([result_message(result, None) for result in results])
    done = run(environment, "history", "h-1", "--kinds", "annotation,event")
    assert [(r["type"], r.get("revision")) for r in map(json.loads, done.stdout.splitlines())] == [
        ("annotation", 2),
        ("event", None),
    ]
    none = run(environment, "history", "h-9")
    assert (none.returncode, none.stdout) == (0, "")
    assert "nothing was published of h-9 since 1h" in none.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["push", "absent.mkv"], 3, "absent.mkv cannot be read"),
        (["push", "absent.mkv", "--stream", "a b"], 2, "no stream id"),
        (["say", "a b", "hello"], 2, "no stream id"),
        (["say", "cam1", " "], 2, "nothing to say"),
        (["watch", "--kinds", "goals"], 2, "names no kinds; write some of annotation,event,caption"),
        (["watch", "--since", "yesterday"], 2, "is no time; write 90s"),
        (["history", "cam1", "--since", "now"], 2, "is no span"),
        (["history", "cam1", "--since", "1h", "--until", "2h"], 2, "from 1h until 2h is no span"),
        (["say", "a b", "-"], 2, "no stream id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_is_a_sentence_before_any_server_is_looked_for(arguments: list[str], code: int, says: str) -> None:
    done = run(deployment("127.0.0.1:1"), *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


MODULES = ("torch", "transformers", "onnxruntime", "jinja2", "PIL", "numpy")


@pytest.mark.parametrize(
    ("arguments", "server", "left_out"),
    [
        (["push", "FILM"], "Kafka", MODULES),
        (["say", "cam1", "hello"], "Kafka", (*MODULES, "av")),
        (["watch"], "Kafka", (*MODULES, "av")),
        (["history", "cam1"], "Kafka", (*MODULES, "av")),
        (["latest"], "Redis", (*MODULES, "av", "kafka")),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_server_that_is_away_is_one_sentence_from_a_light_command(
    film: Path, arguments: list[str], server: str, left_out: tuple[str, ...]
) -> None:
    port = free_port()
    environment = deployment(f"127.0.0.1:{port}", f"redis://127.0.0.1:{port}/0")
    environment |= {"FRAMECUE_KAFKA__CONNECT_TIMEOUT_MS": "500", "PYTHONPROFILEIMPORTTIME": "1"}
    done = run(environment, *(str(film) if a == "FILM" else a for a in arguments))
    lines = done.stderr.splitlines()
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines if line.startswith("import time:")}
    said = [line for line in lines if not line.startswith("import time:") and "film.srt" not in line]
    assert "typer" in loaded, "the report of importtime is read as meant"
    assert loaded.isdisjoint(left_out)
    assert done.returncode == 1
    assert len(said) == 1, said
    assert server in said[0]
    assert f"127.0.0.1:{port}" in said[0]
    assert "framecue up" in said[0]
