"""Who gets in, how, how often, and asked by whose page: a row for each way, over the real application.

Which streams a caller learns of is another question: tests/e2e/test_gateway_access.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from framecue.broker.memory import MemoryBroker
from framecue.clock import FixedClock
from framecue.errors import BrokerError, SetupError
from framecue.models.faces import open_faces
from framecue.schemas.token import Scope
from framecue.settings import Settings
from framecue.store.memory import MemoryStore
from framecue_services.gateway import access as subject
from framecue_services.gateway.access import WRONG_BURST, Access, Credential, Reason
from framecue_services.gateway.app import create_app
from framecue_services.gateway.origins import host_name
from framecue_services.gateway.sessions import COOKIE, Sessions
from framecue_services.gateway.tokens import SECRET, new_token, revocation, token_message

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
JSON = {"Content-Type": "application/json"}
UNKNOWN = f"fc_{'a' * 12}_{'A' * 43}"
HERE = "127.0.0.1:8080"
OURS, THEIRS, NEXT_DOOR = f"http://{HERE}", "https://elsewhere.example", "http://127.0.0.1:3000"


WITHIN_S = 30.0


class Control(MemoryBroker):
    """A broker that counts how often it is asked where `control` ends, and can be away or slow."""

    reads, away = 0, False

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(partitions=2, clock=clock)
        self.answers = threading.Event()
        self.answers.set()

    def end(self, topic: str, *, partition: int) -> int:
        self.reads += 1
        assert self.answers.wait(WITHIN_S)
        if self.away:
            raise BrokerError("Kafka does not answer")
        return super().end(topic, partition=partition)


class Desk:
    """A gateway over memory, with its clock in hand; tokens are known once `tell` has been called."""

    def __init__(self, *, known: bool = True, **gateway: Any) -> None:
        self.clock = FixedClock(NOW_MS)
        self.broker = Control(self.clock)
        settings = Settings.model_validate({"gateway": gateway})
        self.app: FastAPI = create_app(
            settings, broker=self.broker, store=MemoryStore(self.clock), faces=open_faces("off"), clock=self.clock
        )
        self.access: Access = self.app.state.access
        if known:
            self.tell()

    def tell(self) -> None:
        self.app.state.tokens.catch_up()

    @contextmanager
    def following(self) -> Generator[None]:
        """Meanwhile tokens are read when somebody waits for them, and never by themselves."""
        tokens = self.app.state.tokens
        tokens._poll_s, tokens._apart_s = WITHIN_S, 0.0
        tokens.start()
        try:
            read = tokens.next_read()
            assert read is not None
            read.result(WITHIN_S)
            self.broker.reads = 0
            yield
        finally:
            self.broker.answers.set()
            tokens.close()

    def token(self, name: str = "lab", *, scope: Scope = "read", expires_ms: int | None = None) -> str:
        secret = self.new_token(name, scope=scope, expires_ms=expires_ms)
        self.tell()
        return secret

    def new_token(self, name: str = "lab", *, scope: Scope = "read", expires_ms: int | None = None) -> str:
        """One that is made and not yet known."""
        token, secret = new_token(name, scope=scope, streams=("*",), now_ms=NOW_MS, expires_ms=expires_ms)
        self.broker.commit([token_message(token)])
        return secret

    def revoke(self, secret: str) -> None:
        found = SECRET.fullmatch(secret)
        assert found is not None
        self.broker.commit([revocation(found[1])])
        self.tell()

    def client(self, token: str | None = None, *, address: str = "192.0.2.7", host: str = HERE) -> TestClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return TestClient(self.app, base_url=f"http://{host}", headers=headers, client=(address, 50_000))

    def browser(self, token: str) -> TestClient:
        """One that has logged in."""
        client = self.client()
        assert log_in(client, token).status_code == 200
        return client


def log_in(client: TestClient, token: str, **headers: str) -> httpx.Response:
    return client.post("/v1/session", json={"token": token}, headers=headers)


def detail(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[Reason]:
    """Why requests were turned away, as metrics hear it."""
    heard: list[Reason] = []
    monkeypatch.setattr(subject, "add", lambda _, reason: heard.append(reason))
    return heard


# tokens


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Bearer {}", 200),
        ("bearer  {} ", 200),  # the scheme's case is nobody's business (RFC 9110, 11.1)
        ("{}", 401),
        ("Basic {}", 401),
        ("Bearer {}x", 401),
        ("Bearer", 401),
        ("Bearer \xff", 401),
        (f"Bearer {UNKNOWN}", 401),
    ],
)
def test_a_token_is_shown_in_the_authorization_header(said: str, status: int) -> None:
    desk = Desk()
    headers = {"Authorization": said.replace("{}", desk.token()).encode("latin-1")}
    answer = desk.client().get("/v1/session", headers=headers)
    assert answer.status_code == status
    assert answer.headers.get("www-authenticate", "").startswith("Bearer") == (status == 401)


def test_who_shows_a_token_hears_who_that_makes_them() -> None:
    desk = Desk()
    said = desk.client(desk.token("night desk", scope="write")).get("/v1/session").json()
    assert said == {"name": "night desk", "scope": "write", "streams": ["*"], "auth": "on", "faces": "shown"}


def test_a_token_ends_when_it_is_revoked_or_its_time_is_over(reasons: list[Reason]) -> None:
    desk = Desk()
    lasting, short = desk.token("a"), desk.token("b", expires_ms=NOW_MS + HOUR_MS)
    desk.clock.advance(HOUR_MS)
    assert "has expired" in detail(desk.client(short).get("/v1/session"))
    desk.revoke(lasting)
    assert "revoked" in detail(desk.client(lasting).get("/v1/session"))
    assert reasons == ["expired", "wrong_token"]


def test_before_tokens_were_ever_read_nobody_gets_in_and_nobody_is_told_theirs_is_wrong(reasons: list[Reason]) -> None:
    desk = Desk(known=False)
    token, secret = new_token("lab", scope="admin", streams=("*",), now_ms=NOW_MS)
    desk.broker.commit([token_message(token)])
    for answer in (
        desk.client(secret).get("/v1/session"),
        log_in(desk.client(), secret),
        desk.client().get("/v1/session", headers={"Cookie": f"{COOKIE}=x"}),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "Kafka" in detail(answer)
    assert desk.client().get("/v1/session").status_code == 401, "who shows nothing can be told so at once"
    assert reasons == ["not_known_yet"] * 3 + ["no_token"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/session?token={}",
        "/v1/session?x=1&access_token=anything",
        "/v1/session?q={}",
        "/v1/streams/{}/latest",
        "/?token={}",  # also where none is needed: it would stand in the history all the same
        "/healthz?q=%66c_" + "&token=x",
    ],
)
def test_a_token_in_an_address_is_refused_even_when_it_is_right(path: str, reasons: list[Reason]) -> None:
    desk = Desk()
    secret = desk.token()
    answer = desk.client(secret).get(path.replace("{}", secret))
    assert answer.status_code == 400
    assert "tokens do not belong into addresses" in detail(answer)
    assert secret not in answer.text
    assert reasons == ["token_in_address"]


def test_a_scope_that_is_missing_is_named(reasons: list[Reason]) -> None:
    desk = Desk()

    @desk.app.post("/v1/write")
    def write(caller: subject.Writer) -> str:
        return caller.name

    @desk.app.post("/v1/rule")
    def rule(caller: subject.Admin) -> str:
        return caller.name

    scopes: tuple[Scope, ...] = ("read", "write", "admin")
    clients = {scope: desk.client(desk.token(scope, scope=scope)) for scope in scopes}
    may = {scope: [client.post(path).status_code for path in ("/v1/write", "/v1/rule")] for scope, client in
           clients.items()}  # fmt: skip
    assert may == {"read": [403, 403], "write": [200, 403], "admin": [200, 200]}
    assert detail(clients["read"].post("/v1/rule")) == "needs the scope admin"
    assert set(reasons) == {"scope"}


def test_a_route_lets_nobody_in_where_the_gate_was_left_out() -> None:
    """A path that the gate does not know of, or an application put together without it."""
    desk = Desk()

    @desk.app.get("/elsewhere")
    def elsewhere(caller: subject.Reader) -> str:
        return caller.name

    assert desk.client(desk.token()).get("/elsewhere").status_code == 401


# tokens that were just made


def test_a_token_that_was_just_made_is_taken_at_once_and_counts_as_no_wrong_one(reasons: list[Reason]) -> None:
    desk = Desk()
    with desk.following():
        for number in range(WRONG_BURST + 2):
            assert desk.client(desk.new_token(f"a{number}")).get("/v1/session").status_code == 200
            assert log_in(desk.client(), desk.new_token(f"b{number}")).status_code == 200
    assert reasons == []


def test_a_session_of_a_token_that_only_another_gateway_knows_is_taken_at_once() -> None:
    here, there = Desk(session_secret="s" * 32), Desk(session_secret="s" * 32)
    token, secret = new_token("lab", scope="read", streams=("*",), now_ms=NOW_MS)
    here.broker.commit([token_message(token)])
    here.tell()
    told = {"Cookie": f"{COOKIE}={here.browser(secret).cookies[COOKIE]}"}
    with there.following():
        there.broker.commit([token_message(token)])
        assert there.client().get("/v1/session", headers=told).status_code == 200


def test_an_id_that_nobody_has_and_wrong_bits_wait_alike_and_what_cannot_be_right_does_not() -> None:
    """Else the time that an answer takes would tell which ids there are."""
    desk = Desk(session_secret="s" * 32)
    known = SECRET.fullmatch(right := desk.token())[1]  # type: ignore[index]
    in_time, over = NOW_MS + HOUR_MS, NOW_MS
    cookie = desk.browser(right).cookies[COOKIE]
    rows = [
        ("Authorization", f"Bearer {UNKNOWN}", 1),
        ("Authorization", f"Bearer fc_{known}_{'A' * 43}", 1),
        ("Authorization", f"Bearer {UNKNOWN}x", 0),
        ("Authorization", f"Bearer {right}x", 0),
        ("Authorization", f"Bearer {right}", 0),
        ("Cookie", f"{COOKIE}={'a' * 12}.{in_time}.{'0' * 64}", 1),
        ("Cookie", f"{COOKIE}={known}.{in_time}.{'0' * 64}", 1),
        ("Cookie", f"{COOKIE}={'a' * 12}.{over}.{'0' * 64}", 0),
        ("Cookie", f"{COOKIE}={known}.{over}.{'0' * 64}", 0),
        ("Cookie", f"{COOKIE}={cookie}", 0),
        ("Cookie", f"{COOKIE}=guessed", 0),
    ]
    with desk.following():
        for name, value, reads in rows:
            before = desk.broker.reads
            desk.client().get("/v1/session", headers={name: value})
            assert desk.broker.reads - before == reads, value


def test_all_who_show_tokens_that_are_not_known_share_a_read_and_hold_up_nobody() -> None:
    desk = Desk()
    right = desk.token()

    async def status(number: int, token: str) -> int:
        transport = httpx.ASGITransport(desk.app, client=(f"192.0.2.{number}", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HERE}") as client:
            answer = await client.get("/v1/session", headers={"Authorization": f"Bearer {token}"})
            return answer.status_code

    async def all_at_once(new: str) -> None:
        asking = [asyncio.create_task(status(n, UNKNOWN if n % 2 else new)) for n in range(50)]
        while not desk.broker.reads:
            await asyncio.sleep(0)
        assert await status(200, right) == 200, "while they wait"
        assert not any(one.done() for one in asking)
        desk.broker.answers.set()
        assert await asyncio.gather(*asking) == [200, 401] * 25

    with desk.following():
        desk.broker.answers.clear()
        asyncio.run(asyncio.wait_for(all_at_once(desk.new_token("new")), WITHIN_S))
    assert desk.broker.reads <= 2, "the first may have begun before the others asked"


def test_nobody_waits_longer_than_that_for_a_slow_broker(
    monkeypatch: pytest.MonkeyPatch, reasons: list[Reason]
) -> None:
    monkeypatch.setattr(subject, "NEW_WITHIN_S", 0.05)
    desk = Desk()
    with desk.following():
        desk.broker.answers.clear()
        assert desk.client(desk.new_token()).get("/v1/session").status_code == 401
    assert reasons == ["wrong_token"]


def test_while_the_broker_is_away_nobody_waits_for_it() -> None:
    desk = Desk()
    with desk.following():
        desk.broker.away = True
        assert desk.client(UNKNOWN).get("/v1/session").status_code == 401, "it is found out by who asks first"
        before = desk.broker.reads
        assert [desk.client(desk.new_token()).get("/v1/session").status_code for _ in range(3)] == [401] * 3
        assert desk.broker.reads == before


def test_who_was_wrong_too_often_makes_nobody_read(reasons: list[Reason]) -> None:
    desk = Desk()
    with desk.following():
        answers = [desk.client(UNKNOWN).get("/v1/session").status_code for _ in range(WRONG_BURST)]
        before = desk.broker.reads
        refused = [desk.client(UNKNOWN).get("/v1/session").status_code for _ in range(5)]
        assert (answers, refused) == ([401] * WRONG_BURST, [429] * 5)
        assert desk.broker.reads == before
        assert desk.client(desk.new_token(), address="192.0.2.8").get("/v1/session").status_code == 200


# sessions


@pytest.mark.parametrize(("https", "secure"), [("false", False), ("true", True)])
def test_a_browser_shows_a_token_once_and_gets_a_cookie_that_no_script_reads(https: str, secure: bool) -> None:
    desk = Desk(secure_cookie=https)
    secret = desk.token("lab")
    answer = log_in(desk.client(), secret)
    assert answer.json()["name"] == "lab"
    cookie, *marks = answer.headers["set-cookie"].split("; ")
    assert {mark.lower() for mark in marks} == {"httponly", "samesite=strict", "path=/", "max-age=43200"} | (
        {"secure"} if secure else set()
    )
    assert secret.split("_", 2)[2] not in cookie
    assert answer.headers["cache-control"] == "private, no-cache"


def test_a_session_lasts_as_long_as_settings_say_and_no_longer_than_its_token() -> None:
    desk = Desk(session_hours=2)
    lasting, short = desk.token("a"), desk.token("b", expires_ms=NOW_MS + HOUR_MS)
    browsers = [desk.browser(lasting), desk.browser(short)]
    ages = [log_in(desk.client(), secret).headers["set-cookie"].split("; ")[2] for secret in (lasting, short)]
    assert ages == ["Max-Age=7200", "Max-Age=3600"], "the browser forgets it then, too"
    for hours, expected in ((0, [200, 200]), (1, [200, 401]), (2, [401, 401])):
        desk.clock.advance(NOW_MS + hours * HOUR_MS - desk.clock.now_ms())
        answers = [  # by hand: the client would drop a cookie by the machine's own clock
            desk.client().get("/v1/session", headers={"Cookie": f"{COOKIE}={b.cookies[COOKIE]}"}) for b in browsers
        ]
        assert [answer.status_code for answer in answers] == expected


def test_a_session_ends_with_its_token_and_when_one_logs_out() -> None:
    desk = Desk()
    secret = desk.token()
    browser = desk.browser(secret)
    gone = browser.delete("/v1/session", headers={"Origin": OURS})
    assert (gone.status_code, COOKIE in browser.cookies) == (204, False)
    assert browser.get("/v1/session").status_code == 401
    again = desk.browser(secret)
    desk.revoke(secret)
    assert detail(again.get("/v1/session")) == "this session has ended; log in again"


@pytest.mark.parametrize("expires_ms", [None, NOW_MS - 1])
def test_a_token_that_was_made_anew_under_an_old_id_gives_old_sessions_nothing(expires_ms: int | None) -> None:
    """Other bits, or other times: what was signed is no longer what there is."""
    desk = Desk()
    browser = desk.browser(secret := desk.token())
    kept = desk.app.state.tokens.of_secret(secret)
    other, _ = new_token("lab", scope="read", streams=("*",), now_ms=NOW_MS, expires_ms=expires_ms)
    same_bits = {"sha256": kept.token.sha256} if expires_ms else {}
    desk.broker.commit([token_message(other.model_copy(update={"id": kept.token.id, **same_bits}))])
    desk.tell()
    assert browser.get("/v1/session").status_code == 401


def test_only_our_own_signature_over_exactly_that_counts() -> None:
    desk = Desk(session_secret="s" * 32)
    mine, others = desk.token("a"), desk.token("b")
    cookie = desk.browser(mine).cookies[COOKIE]
    token_id, end, signature = cookie.split(".")
    other_id = SECRET.fullmatch(others)[1]  # type: ignore[index]
    kept = desk.app.state.tokens.of_id(token_id)
    elsewhere, _ = Sessions("t" * 32, length_ms=HOUR_MS).open(kept, now_ms=NOW_MS)
    wrong = ["", "x", signature, f"{other_id}.{end}.{signature}", f"{token_id}.{int(end) + 1}.{signature}",
             f"{token_id}.{end}.{'0' * 64}", f"{token_id}.{'9' * 400}.{signature}", elsewhere, mine]  # fmt: skip
    answers = [
        desk.client(address=f"192.0.2.{i}").get("/v1/session", headers={"Cookie": f"{COOKIE}={value}"})
        for i, value in enumerate([cookie, *wrong])
    ]
    assert [answer.status_code for answer in answers] == [200] + [401] * len(wrong)


def test_gateways_with_one_secret_take_each_others_sessions_and_others_do_not() -> None:
    desks = [Desk(session_secret="s" * 32), Desk(session_secret="s" * 32), Desk(), Desk()]
    token, secret = new_token("lab", scope="read", streams=("*",), now_ms=NOW_MS)
    for desk in desks:
        desk.broker.commit([token_message(token)])
        desk.tell()

    def statuses(cookie: str) -> list[int]:
        told = {"Cookie": f"{COOKIE}={cookie}"}
        return [desk.client().get("/v1/session", headers=told).status_code for desk in desks]

    assert statuses(desks[0].browser(secret).cookies[COOKIE]) == [200, 200, 401, 401]
    assert statuses(desks[2].browser(secret).cookies[COOKIE]) == [401, 401, 200, 401]


def test_a_proxy_that_asks_for_a_password_of_its_own_does_not_end_sessions() -> None:
    desk = Desk()
    assert desk.browser(desk.token()).get("/v1/session", headers={"Authorization": "Basic eDp5"}).status_code == 200


# pages of others

WRITES_BY_BROWSER = [
    # what the browser says                                            by cookie, without tokens
    ({"Origin": OURS, "Sec-Fetch-Site": "same-origin", **JSON}, 204, 204),
    ({"Origin": OURS, **JSON}, 204, 204),  # over plain HTTP browsers send no Sec-Fetch-Site but to this machine
    ({"Sec-Fetch-Site": "same-origin", **JSON}, 204, 204),
    ({**JSON}, 403, 204),  # no browser: one with a cookie is odd, and curl on this machine is welcome
    ({"Origin": THEIRS, **JSON}, 403, 403),
    ({"Origin": "null", **JSON}, 403, 403),  # a sandboxed frame, or a file
    ({"Origin": NEXT_DOOR, **JSON}, 403, 403),  # the same site to cookies, which know no ports
    ({"Origin": NEXT_DOOR, "Sec-Fetch-Site": "same-site", **JSON}, 403, 403),
    ({"Origin": OURS, "Sec-Fetch-Site": "cross-site", **JSON}, 403, 403),
    ({"Origin": "http://[", **JSON}, 403, 403),
    ({"Origin": OURS, "Content-Type": "text/plain"}, 415, 415),  # what a form can send needs no leave
    ({"Origin": OURS, "Content-Type": "application/x-www-form-urlencoded"}, 415, 415),
    ({"Origin": OURS, "Content-Type": "Multipart/Form-Data; boundary=x"}, 415, 415),
    ({"Origin": OURS, "Content-Type": ""}, 415, 415),
    ({"Origin": OURS, "Content-Type": "application/yaml"}, 204, 204),  # rules: no form can send that
]


@pytest.mark.parametrize(("headers", "by_cookie", "without_tokens"), WRITES_BY_BROWSER)
def test_only_our_own_page_makes_a_browser_write(
    headers: Mapping[str, str], by_cookie: int, without_tokens: int
) -> None:
    desk, open_desk = Desk(), Desk(auth="off")
    for each in (desk, open_desk):
        each.app.add_api_route("/v1/write", lambda: None, methods=["POST"], status_code=204)
    browser = desk.browser(desk.token())
    assert browser.post("/v1/write", content="{}", headers=headers).status_code == by_cookie
    assert open_desk.client().post("/v1/write", content="{}", headers=headers).status_code == without_tokens
    token = desk.client(desk.token("program"))
    assert token.post("/v1/write", content="{}", headers=headers).status_code == 204, "no page knows a token"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),  # typed, or a bookmark
        ({}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),  # a picture of ours in somebody's page, or a link in a mail
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_nor_does_a_foreign_page_make_it_read(headers: Mapping[str, str], status: int, reasons: list[Reason]) -> None:
    desk = Desk()
    assert desk.browser(desk.token()).get("/v1/session", headers=headers).status_code == status
    assert Desk(auth="off").client().get("/v1/session", headers=headers).status_code == status
    assert reasons == ["foreign_page"] * (2 if status == 403 else 0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"Origin": OURS}, 200), ({"Origin": THEIRS}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
     ({"Content-Type": "text/plain"}, 415)],
)  # fmt: skip
def test_no_foreign_page_logs_a_browser_in(headers: dict[str, str], status: int) -> None:
    """Else somebody watches and writes under a name that the page chose."""
    desk = Desk()
    assert log_in(desk.client(), desk.token(), **headers).status_code == status


def test_behind_tls_a_plain_page_of_the_same_name_is_foreign() -> None:
    """Whoever is on the network can put one there."""
    desk = Desk(secure_cookie="true")
    cookie = {"Cookie": log_in(desk.client(), desk.token()).headers["set-cookie"].split(";")[0]}
    found = [
        desk.client().delete("/v1/session", headers={**cookie, "Origin": f"{scheme}://{HERE}"}).status_code
        for scheme in ("http", "https")
    ]
    assert found == [403, 204]


# without tokens


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:8080", 200),
        ("127.9.9.9", 200),
        ("elsewhere.example:8080", 403),  # a name that its owner pointed here, after the page was loaded
        ("localhost.elsewhere.example", 403),
        ("127.0.0.1.elsewhere.example", 403),
        ("0.0.0.0", 403),  # noqa: S104
        ("", 403),
        ("[", 403),
    ],
)
def test_without_tokens_only_names_of_this_machine_are_answered(host: str, status: int) -> None:
    client = Desk(auth="off").client()
    for path in ("/v1/session", "/healthz"):
        assert client.get(path, headers={"Host": host}).status_code == status


def test_with_tokens_it_has_whatever_name_it_is_given() -> None:
    desk = Desk()
    assert desk.client(desk.token()).get("/v1/session", headers={"Host": "framecue.example"}).status_code == 200


def test_without_tokens_everybody_may_everything_and_is_told_so() -> None:
    client = Desk(auth="off").client()
    said = client.get("/v1/session").json()
    assert (said["auth"], said["scope"], said["streams"]) == ("off", "admin", ["*"])
    assert (log_in(client, UNKNOWN).status_code, client.delete("/v1/session").status_code) == (409, 204)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "framecue.example", "localhost.example"])  # noqa: S104
def test_no_gateway_starts_open_to_the_network(host: str) -> None:
    with pytest.raises(SetupError, match=r"set gateway.host to 127\.0\.0\.1, or gateway.auth to on"):
        Desk(auth="off", host=host)


@pytest.mark.parametrize(
    ("header", "name"), [("a:1", "a"), ("[::1]:80", "::1"), ("", ""), ("[", ""), ("a@b", "b"), ("A", "a")]
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


# limits


def test_a_token_has_so_many_requests_and_what_needs_none_has_no_limit(reasons: list[Reason]) -> None:
    desk = Desk(requests_per_second=0.5, request_burst=2)
    lab, tv = (desk.client(desk.token(name)) for name in ("lab", "tv"))
    assert [lab.get("/v1/session").status_code for _ in range(3)] == [200, 200, 429]
    refused = lab.get("/v1/session")
    assert (detail(refused), int(refused.headers["retry-after"])) == ("more than 0.5 requests a second", 2)
    assert tv.get("/v1/session").status_code == 200, "another token, though from the same address"
    assert [lab.get("/healthz").status_code for _ in range(5)] == [200] * 5
    desk.clock.advance(2_000)
    assert lab.get("/v1/session").status_code == 200, "as it was told"
    assert set(reasons) == {"too_many"}


def test_a_session_shares_the_bucket_of_its_token() -> None:
    desk = Desk(request_burst=2, requests_per_second=0.001)
    secret = desk.token()
    browser, program = desk.browser(secret), desk.client(secret)
    assert [c.get("/v1/session").status_code for c in (browser, program, browser)] == [200, 200, 429]


def test_without_a_token_the_address_counts() -> None:
    desk = Desk(request_burst=2, requests_per_second=0.001)
    here, there = desk.client(address="192.0.2.1"), desk.client(address="192.0.2.2")
    assert [c.get("/v1/session").status_code for c in (here, here, here, there)] == [401, 401, 429, 401]


def test_wrong_tokens_are_soon_no_longer_looked_at_and_right_ones_from_there_are(reasons: list[Reason]) -> None:
    desk = Desk()
    right = desk.token()
    guesses = [
        lambda: desk.client(UNKNOWN).get("/v1/session"),
        lambda: log_in(desk.client(), UNKNOWN),
        lambda: desk.client().get("/v1/session", headers={"Cookie": f"{COOKIE}=guessed"}),
    ]
    answers = [guesses[i % 3]() for i in range(WRONG_BURST + 3)]
    assert [a.status_code for a in answers] == [401] * WRONG_BURST + [429] * 3
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert desk.client(UNKNOWN, address="192.0.2.8").get("/v1/session").status_code == 401
    assert desk.client(right).get("/v1/session").status_code == 200, "many may share an address"
    assert log_in(desk.client(), right).status_code == 200
    assert reasons.count("too_many_wrong") == 3


# answers that last


def test_what_was_let_in_goes_on_until_its_token_or_session_ends() -> None:
    desk = Desk(session_hours=1)
    secret = desk.token("a")
    kept = desk.app.state.tokens.of_secret(secret)
    program = Credential(subject._principal(kept), "token", kept, None)
    _, browser = asyncio.run(desk.access.open_session(secret, _any_request()))
    assert [desk.access.still_valid(c) for c in (program, browser)] == [True, True]
    desk.clock.advance(HOUR_MS)
    assert [desk.access.still_valid(c) for c in (program, browser)] == [True, False]
    token = kept.token.model_copy(update={"streams": ("lab-*",)})
    desk.broker.commit([token_message(token)])
    desk.tell()
    assert not desk.access.still_valid(program), "it may see less now: whoever comes again is let in as what it is"
    narrowed = replace(program, kept=desk.app.state.tokens.of_secret(secret))
    assert desk.access.still_valid(narrowed)
    desk.revoke(secret)
    assert not desk.access.still_valid(narrowed)


def test_without_tokens_what_was_let_in_goes_on() -> None:
    nobody = Credential(subject.EVERYBODY, "loopback")
    assert Desk(auth="off").access.still_valid(nobody)
    assert not Desk().access.still_valid(nobody)


def _any_request() -> Any:
    from starlette.requests import Request

    return Request({"type": "http", "headers": [], "client": ("192.0.2.7", 1), "path": "/", "query_string": b""})
