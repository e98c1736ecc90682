"""How many requests one caller may make: token buckets in a bounded table. It must not know HTTP.

level ┤████ burst ──── a quiet caller's bucket is full
      │██   each request takes one; `per_second` come back
    0 ┤     refused, and told when there is one again
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

MOST_CALLERS = 10_000
"""Whoever was quiet longest is forgotten, which only gives it a full bucket: 2 MiB at most, whoever knocks."""
_IPV6_NETWORK_BITS = 64
"""One customer's network: whoever has one address there has all of them."""


@dataclass
class _Bucket:
    level: float
    at_s: float


class Limiter:
    """A bucket for each caller. Time is handed in; a clock may be set: back gives nothing, forward a full bucket."""

    def __init__(self, *, per_second: float, burst: int, most_callers: int = MOST_CALLERS) -> None:
        self._per_second, self._burst, self._most = per_second, burst, most_callers
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, *, now_s: float) -> float:
        """0 where it may pass; else the seconds until one may, and nothing was taken."""
        bucket = self._buckets.pop(caller, None) or _Bucket(self._burst, now_s)
        bucket.level = min(self._burst, bucket.level + max(0.0, now_s - bucket.at_s) * self._per_second)
        bucket.at_s = now_s
        self._buckets[caller] = bucket  # at the end: it was heard of last
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if bucket.level >= 1:
            bucket.level -= 1
            return 0
        return (1 - bucket.level) / self._per_second

    def give_back(self, caller: str) -> None:
        """Takes back what `take` took: it turned out not to count."""
        if (bucket := self._buckets.get(caller)) is not None:  # else it was forgotten, and is full
            bucket.level = min(self._burst, bucket.level + 1)

    def __len__(self) -> int:
        return len(self._buckets)


def network(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 of an IPv6 one; anything else as it is."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((int(ip), _IPV6_NETWORK_BITS), strict=False))
    return str(ip)
