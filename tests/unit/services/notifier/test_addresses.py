"""Where a webhook may lead: every kind of address that is not for strangers, and every disguise of one."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from framecue_services.notifier.addresses import Place, PrivateAddressError, is_public, places, resolve


@pytest.mark.parametrize(
    ("address", "public", "reason"),
    [
        ("8.8.8.8", True, "IPv4 of the internet"),
        ("2001:4860:4860::8888", True, "IPv6 of the internet"),
        ("127.0.0.1", False, "this machine"),
        ("::1", False, "this machine"),
        ("0.0.0.0", False, "this machine, to many systems"),  # noqa: S104
        ("::", False, "the same in IPv6"),
        ("10.1.2.3", False, "private"),
        ("172.16.0.1", False, "private"),
        ("192.168.1.1", False, "private"),
        ("fc00::1", False, "private, IPv6"),
        ("fec0::1", False, "private once, IPv6"),
        ("169.254.169.254", False, "where clouds keep the metadata of a machine"),
        ("fe80::1", False, "link-local"),
        ("100.100.100.200", False, "carriers' own, and the metadata of one cloud"),
        ("224.0.0.1", False, "multicast"),
        ("ff02::1", False, "multicast, IPv6"),
        ("255.255.255.255", False, "broadcast"),
        ("240.0.0.1", False, "reserved"),
        ("192.0.2.1", False, "for documents"),
        ("2001:db8::1", False, "for documents, IPv6"),
        ("::ffff:127.0.0.1", False, "IPv4-mapped"),
        ("::ffff:8.8.8.8", True, "IPv4-mapped, of the internet"),
        ("::127.0.0.1", False, "IPv4-compatible"),
        ("::ffff:0:10.0.0.1", False, "IPv4-translated"),
        ("64:ff9b::10.0.0.1", False, "NAT64"),
        ("64:ff9b::8.8.8.8", True, "NAT64, to the internet: the only way out of some networks"),
        ("64:ff9b:1::8.8.8.8", False, "NAT64 of the own network, which may lead anywhere in it"),
        ("2002:7f00:1::1", False, "6to4"),
        ("2001:0:808:808::1", False, "Teredo"),
    ],
)
def test_what_is_public(address: str, public: bool, reason: str) -> None:
    assert is_public(address) is public, reason


def named(*addresses: str) -> Sequence[Place]:
    return [Place(socket.AF_INET6, (a, 443, 0, 3)) if ":" in a else Place(socket.AF_INET, (a, 443)) for a in addresses]


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("fe80::1%3",)],
    ids=["private", "one of them", "with a zone"],
)
def test_a_name_that_leads_inside_is_refused_unless_that_is_allowed(addresses: tuple[str, ...]) -> None:
    found = named(*addresses)
    with pytest.raises(PrivateAddressError, match=r"leads to .*, which is no public address"):
        places("hooks.example", 443, private="refuse", resolve=lambda *_: found)
    assert places("hooks.example", 443, private="allow", resolve=lambda *_: found) == found


def test_a_name_is_asked_for_once_and_what_was_looked_at_is_given() -> None:
    answers = [named("8.8.8.8", "1.1.1.1"), named("127.0.0.1")]  # DNS rebinding: the second answer is another
    assert places("hooks.example", 443, private="refuse", resolve=lambda *_: answers.pop(0)) == named(
        "8.8.8.8", "1.1.1.1"
    )
    assert len(answers) == 1


@pytest.mark.parametrize("written", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "localhost"])
def test_an_address_in_disguise_is_the_address(written: str) -> None:
    assert {place.ip for place in resolve(written, 80)} <= {"127.0.0.1", "::1"}
