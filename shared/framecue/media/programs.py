"""Which streams of an MPEG-TS belong to which program (ISO/IEC 13818-1, 2.4.4). PyAV does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from framecue.media.sniffing import TS_PACKET, ts_layout

PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0x00, 0x02


def program_pids(data: bytes) -> Mapping[int, frozenset[int]]:
    """Program number to the PIDs of its elementary streams, in the order of the PAT; empty when there is no PAT."""
    maps = next((_pat(s) for s in _sections(data, PAT_PID) if s[0] == PAT_TABLE), {})
    found: dict[int, frozenset[int]] = {}
    for number, pid in maps.items():
        tables = (s for s in _sections(data, pid) if s[0] == PMT_TABLE and int.from_bytes(s[3:5], "big") == number)
        found[number] = next((_pmt(s) for s in tables), frozenset())
    return found


def _pat(section: bytes) -> dict[int, int]:
    body = section[8:-4]
    pairs = (body[i : i + 4] for i in range(0, len(body) - 3, 4))
    numbers = ((int.from_bytes(p[:2], "big"), int.from_bytes(p[2:], "big") & 0x1FFF) for p in pairs)
    return {number: pid for number, pid in numbers if number != 0}  # 0 names the network table


def _pmt(section: bytes) -> frozenset[int]:
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    pids = set()
    while at + 5 <= len(section) - 4:
        pids.add(int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF)
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return frozenset(pids)


def _sections(data: bytes, pid: int) -> Iterator[bytes]:
    """The whole sections that packets of `pid` carry, in order; what is cut off is left out."""
    held = b""
    for starts, payload in _payloads(data, pid):
        if starts and payload:
            held = payload[1 + payload[0] :]
        elif held:
            held += payload
        size = 3 + (int.from_bytes(held[1:3], "big") & 0xFFF) if len(held) >= 3 else 0
        if 12 <= size <= len(held):
            yield held[:size]
            held = b""


def _payloads(data: bytes, pid: int) -> Iterator[tuple[bool, bytes]]:
    """(whether a unit starts in it, payload) of each packet of `pid`."""
    layout = ts_layout(data)
    if layout is None:
        return
    size, first = layout
    for at in range(first, len(data) - TS_PACKET + 1, size):
        head = int.from_bytes(data[at : at + 4], "big")
        if head >> 24 != 0x47 or head >> 8 & 0x1FFF != pid or not head & 0x10:
            continue
        skip = 5 + data[at + 4] if head & 0x20 else 4
        yield bool(head & 0x400000), data[at + skip : at + TS_PACKET]
