"""`framecue token`: what is printed where, what is kept, and what is refused before anything is written."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from framecue.broker.memory import MemoryBroker
from framecue.clock import FixedClock
from framecue.errors import SetupError
from framecue.schemas.topics import CONTROL, DAY_MS
from framecue.timeline import rfc3339
from framecue_services.cli.__main__ import main
from framecue_services.cli.rules import apply_default_rules, rules_in_force
from framecue_services.cli.token import create_token, revoke_token, run_create, run_list, run_revoke
from framecue_services.gateway.tokens import SECRET, read_tokens

NOW_MS = 1_700_000_000_000


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(partitions=2, clock=FixedClock(NOW_MS))


def made(broker: MemoryBroker, name: str = "lab", expires: str | None = None) -> str:
    """The secret of a new token."""
    return create_token(broker, name, scope="read", streams=("lab-*",), expires=expires, now_ms=NOW_MS)[1]


def test_the_secret_alone_goes_to_stdout_and_is_written_nowhere(
    broker: MemoryBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FixedClock(NOW_MS)
    run_create(broker, "night desk", scope="write", streams=("lab-*", "tv?"), expires="30d", clock=clock)
    out, err = capsys.readouterr()
    secret = out.removesuffix("\n")
    assert SECRET.fullmatch(secret), "so that `> lab.token` holds a token and nothing else"
    assert f"night desk may read and write on lab-*, tv?, until {rfc3339(NOW_MS + 30 * DAY_MS)}" in err
    random = secret.split("_", 2)[2]
    [record] = broker.read(CONTROL.name, partition=0)
    assert random not in err
    assert random.encode() not in (record.value or b"")
    kept = read_tokens(broker).of_secret(secret)
    assert kept is not None
    assert (kept.token.name, kept.token.scope, kept.token.streams) == ("night desk", "write", ("lab-*", "tv?"))


def test_an_admin_of_some_streams_is_told_what_it_will_not_do(
    broker: MemoryBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    run_create(broker, "half", scope="admin", streams=("lab-*",))
    assert "only for tokens with --streams '*'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "streams", "expires", "says"),
    [
        ("lab", ("*",), None, "already"),  # revoking by name, and who gave feedback, would be ambiguous
        ("", ("*",), None, "cannot be a name"),
        ("a\x1b[31mb", ("*",), None, "cannot be a name"),  # it would paint the terminal of whoever lists
        ("a\u202eb", ("*",), None, "cannot be a name"),
        ("x" * 101, ("*",), None, "name: String should have at most 100"),
        ("new", (), None, "streams"),
        ("new", ("lab/*",), None, "streams.0"),
        ("new", ("*",), "0s", "is over"),
        ("new", ("*",), "2020-01-31T12:00:00Z", "is over"),
        ("new", ("*",), "soon", "is no time to come"),
        ("new", ("*",), "999999999d", "is no time to come"),  # beyond the calendar
        ("new", ("*",), "999999d", "is no time to come"),  # year 4761: no reader of ours takes it back
    ],
)
def test_what_cannot_be_a_token_is_refused_before_anything_is_written(
    broker: MemoryBroker, name: str, streams: tuple[str, ...], expires: str | None, says: str
) -> None:
    made(broker)
    before = broker.end(CONTROL.name, partition=0)
    with pytest.raises(SetupError, match=re.escape(says)):
        create_token(broker, name, scope="read", streams=streams, expires=expires, now_ms=NOW_MS)
    assert broker.end(CONTROL.name, partition=0) == before


def test_revoking_by_name_and_by_id_ends_that_token_and_no_other(
    broker: MemoryBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    lab, tv, kitchen = (made(broker, name) for name in ("lab", "tv", "kitchen"))
    run_revoke(broker, "lab")
    assert revoke_token(broker, SECRET.fullmatch(tv)[1]).name == "tv"  # type: ignore[index]
    book = read_tokens(broker)
    assert [book.of_secret(secret) is not None for secret in (lab, tv, kitchen)] == [False, False, True]
    assert "lab (" in capsys.readouterr().out
    with pytest.raises(SetupError, match="there is no token lab; `framecue token list`"):
        revoke_token(broker, "lab")
    made(broker, "lab")  # its name is free again


def test_tokens_and_rules_stand_beside_each_other_on_control(broker: MemoryBroker) -> None:
    made(broker)
    assert rules_in_force(broker) is None
    assert apply_default_rules(broker)
    assert [token.name for token in read_tokens(broker).tokens()] == ["lab"]


def test_the_list_says_everything_but_the_secret(broker: MemoryBroker, capsys: pytest.CaptureFixture[str]) -> None:
    run_list(broker)
    nothing = capsys.readouterr()
    assert (nothing.out, "there are no tokens" in nothing.err) == ("", True)
    secrets = [made(broker, "old", expires="1s"), made(broker, "lab")]
    run_list(broker, clock=FixedClock(NOW_MS + 1_000))
    piped = capsys.readouterr().out
    rows = [line.split("\t") for line in piped.splitlines()]
    ends = rfc3339(NOW_MS + 1_000)
    assert sorted(row[1:] for row in rows) == [
        ["lab", "read", "lab-*", rfc3339(NOW_MS), "never"],
        ["old", "read", "lab-*", rfc3339(NOW_MS), f"expired {ends}"],
    ]
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    run_list(broker, console=console)
    assert isinstance(console.file, io.StringIO)
    shown = piped + console.file.getvalue()
    for kept in read_tokens(broker).tokens():
        assert kept.id in console.file.getvalue()
        assert kept.sha256 not in shown
    assert not any(secret.split("_", 2)[2] in shown for secret in secrets)


def test_streams_must_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A token for everything by mere omission is one too many."""
    monkeypatch.setattr(sys, "argv", ["framecue", "token", "create", "lab"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "--streams" in capsys.readouterr().err
