"""Which addresses a webhook may reach, and where a name leads. It must not know what is sent there.

Whoever may write a URL could otherwise have this service call what only it can reach: databases beside it, the metadata
of its cloud. A name is looked up once, all that it names is looked at, and the connection goes to what was looked at:
a second answer that differs (DNS rebinding) is never asked for.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Literal

from framecue.errors import DeliveryError

Private = Literal["refuse", "allow"]
Resolve = Callable[[str, int], Sequence["Place"]]
"""Gives where a host and a port lead; blocks, and raises OSError where the name is not known."""
NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address."""
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: some IPv4 address of whoever runs the network, who alone knows where in it that stands."""


class PrivateAddressError(DeliveryError):
    """A name leads inside."""


@dataclass(frozen=True)
class Place:
    """One address that a socket of `family` connects to."""

    family: int
    at: tuple[Any, ...]

    @property
    def ip(self) -> str:
        """The address alone, without a zone."""
        return str(self.at[0]).partition("%")[0]


def resolve(host: str, port: int) -> Sequence[Place]:
    """What the system knows of `host`, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [Place(family, at) for family, _, _, _, at in found]


def places(host: str, port: int, *, private: Private, resolve: Resolve = resolve) -> Sequence[Place]:
    """Where to connect to for `host`.

    Raises PrivateAddressError where any of its addresses is not public and that is refused, and OSError where the name
    is not known.
    """
    found = resolve(host, port)
    if private == "refuse":
        for place in found:
            if not is_public(place.ip):
                leads = host if host == place.ip else f"{host} leads to {place.ip}, which"
                raise PrivateAddressError(f"{leads} is no public address")
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, "its name has no address")
    return found


def is_public(text: str) -> bool:
    """Whether the internet routes to this address; where an IPv4 address stands inside it, to that one."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _translated(address)
        return _is_global(inner) if inner is not None else address not in LOCAL_NAT64 and _is_global(address)
    return _is_global(address)


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not special and not local


def _translated(address: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else None
