"""What runs inside Redis: each script reads and writes one key, at once, so it is safe on a cluster.

They compare numbers below 2^53, which Lua's doubles hold exactly, and never strings, whose order depends on the
server's locale. They must not know what a result means: keys, fields and orders are handed in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    """Lua source, which is sent once; after that its hash is enough."""

    source: str

    @property
    def sha(self) -> str:
        """What Redis knows it by."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


PUT_MEMBER = Script(r"""
-- KEYS[1] a sorted set, all of score 0: its members `<place> <version and more> <JSON>` stand in the order of bytes
-- ARGV    place, version and more, JSON, most members, TTL in ms, channel, type
-- gives whether the set changed, which the channel is told then, and the head of the member that had to go, if any
local place, tail, json = ARGV[1] .. ' ', ARGV[2], ARGV[3]
local held = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. place, '(' .. place .. '\255')[1]
if held then
  local version = tonumber(string.match(held, '^%d+', #place + 1))
  if version and version >= tonumber(string.match(tail, '^%d+')) then return {0} end
  redis.call('ZREM', KEYS[1], held)
end
local member = place .. tail .. ' ' .. json
redis.call('ZADD', KEYS[1], 0, member)
local gone
if redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[4]) then gone = redis.call('ZPOPMIN', KEYS[1])[1] end
local head = gone and string.match(gone, '^[^{]*')
if gone == member then return {0, head} end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[6], '{"type":"' .. ARGV[7] .. '",' .. string.sub(json, 2))
return {1, head}
""")

PUT_FIELDS = Script(r"""
-- KEYS[1] a hash that several groups of fields share
-- ARGV    the groups that fields belong to by how their names begin, joined by `|`; which of them is written (empty:
--         all other fields); TTL in ms; channel, type, JSON (empty: nothing to tell); how many fields order the group;
--         a JSON array of field, value, field, value, ..., those that order it first
-- gives whether the group was older, and is replaced as a whole
local fields, order = cjson.decode(ARGV[8]), tonumber(ARGV[7])
local names = {}
for i = 1, #fields, 2 do names[#names + 1] = fields[i] end
local newer = false
for i, held in ipairs(redis.call('HMGET', KEYS[1], unpack(names, 1, order))) do
  local had, given = tonumber(held), tonumber(fields[2 * i])
  newer = not had or had < given
  if newer or had > given then break end
end
if not newer then return {0} end
local written = {}
for _, name in ipairs(names) do written[name] = true end
local function group(field)
  for name in string.gmatch(ARGV[1], '[^|]+') do
    if string.sub(field, 1, #name) == name then return name end
  end
  return ''
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not written[field] and group(field) == ARGV[2] then redis.call('HDEL', KEYS[1], field) end
end
for i = 1, #fields, 1000 do redis.call('HSET', KEYS[1], unpack(fields, i, math.min(i + 999, #fields))) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if ARGV[6] ~= '' then redis.call('PUBLISH', ARGV[4], '{"type":"' .. ARGV[5] .. '",' .. string.sub(ARGV[6], 2)) end
return {1}
""")

PUT_PICTURE = Script(r"""
-- KEYS[1] a picture with 16 digits behind it, which viewers pass over: the sequence of the event it speaks for
-- ARGV    those digits, picture, TTL in ms
local held = tonumber(redis.call('GETRANGE', KEYS[1], -16, -1))
if held and held >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2] .. ARGV[1], 'PX', ARGV[3])
return 1
""")

OPEN = Script(r"""
-- KEYS[1] the sorted set of a stream's events
-- gives   the server's time in us, which orders two answers, the members of those that go on, and whether there are any
--         events at all
local now, open = redis.call('TIME'), {}
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, member in ipairs(members) do
  if string.find(member, '^%S+ %S+ %S+ %S+ %d+ open ') then open[#open + 1] = member end
end
return {string.format('%.0f', now[1] * 1000000 + now[2]), open, #members > 0}
""")

ALL = (PUT_MEMBER, PUT_FIELDS, PUT_PICTURE, OPEN)
