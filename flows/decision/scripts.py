"""What the store does at once for a decision or an outcome."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ..partitions import FIELD

DONE, AGAIN, CONFLICT = 0, 1, 2
"""What became of a decision."""
PENDING = b"-"
"""The place in the log of what is not known to be there."""
POINTER = b"#"
"""What begins what is kept of a line that is in a stream here: then come its place in the log, the
id of its entry and the stream, with spaces between."""
OUTBOUND_FIELD = b"decision"


class Script(NamedTuple):
    """A script and its SHA-1."""

    text: bytes
    sha: str


def _script(text: str) -> Script:
    raw = text.encode()
    return Script(raw, hashlib.sha1(raw, usedforsecurity=False).hexdigest())


# What can fail comes first, and is taken back: a script that ends in an error has changed nothing.
_COUNTED = f"""
local function counted(stream)
  -- FULL, else both its first and its last entry were told
  local facts = redis.call('XINFO', 'STREAM', stream, 'FULL', 'COUNT', 1)
  for i = 1, #facts, 2 do
    if facts[i] == 'entries-added' then return facts[i + 1] end
  end
end
local nocount = 'NOCOUNT this server does not count the entries of a stream, as ' ..
  'Redis has since 7.0 and Valkey always: decisions need receipts'
local function out(stream, text, most)
  return redis.pcall('XADD', stream, 'MAXLEN', '~', most, '*', '{OUTBOUND_FIELD.decode()}', text)
end
local function set(key, value, ms)
  if value == '' then
    redis.call('DEL', key)
  else
    redis.call('SET', key, value, 'PX', ms)
  end
end
"""

# As `COMMIT` does of many, and returns it; for one there is much less to do.
ONE = _script(f"""{_COUNTED}
-- KEYS: its contacts, what is kept; if the log is here its partition, and an outbound stream if
--       something goes out
-- ARGV: 1 contacts as they were, 2 and are to be, 3 for how many ms ('': neither compared nor set),
--       4 line, 5 for how many ms it is kept; where they are needed 6 whether it is kept ('1') or
--       where it is, 7 what goes out, 8 entries of an outbound stream
local call, contacts, stream = redis.call, KEYS[1], KEYS[3]
local before, after, ms = ARGV[1], ARGV[2], ARGV[3]
local known = call('GET', KEYS[2])
if known then return {{{{0}}, {{1, {AGAIN}, known}}}} end
if ms ~= '' then
  local there = call('GET', contacts) or ''
  if there ~= before then return {{{{0}}, {{1, {CONFLICT}, there}}}} end
end
local place, rest, count = '{PENDING.decode()}', '', 0
if stream then
  local id = redis.pcall('XADD', stream, '*', '{FIELD.decode()}', ARGV[4])
  if type(id) == 'table' then return redis.error_reply(id.err) end
  count = counted(stream)
  local fault = not count and nocount
  if not fault and KEYS[4] then
    local sent = out(KEYS[4], ARGV[7], ARGV[8])
    if type(sent) == 'table' then fault = sent.err end
  end
  if fault then
    call('XDEL', stream, id)
    return redis.error_reply(fault)
  end
  place, rest = string.format('%.0f:0', count), ' ' .. id .. ' ' .. stream
end
if ms ~= '' and after ~= before then set(contacts, after, ms) end
if ARGV[6] == '1' then
  place = place .. ' ' .. string.sub(ARGV[4], 1, -2)
else
  place = '{POINTER.decode()}' .. place .. rest
end
call('SET', KEYS[2], place, 'PX', ARGV[5])
return {{{{count}}, {{}}}}
""")

# Several decisions for one customer count one after the other. Lines come as the log takes them,
# many in one text, and are taken apart only where they have to be.
COMMIT = _script(f"""{_COUNTED}
-- KEYS: partitions of the log, outbound streams; then of each decision its contacts, what is kept
-- ARGV: 1 partitions, 2 outbound streams, 3 ms that a decision is kept, 4 entries of an outbound
--       stream, 5 entries of the log, 6 whether lines are kept ('1') or where they are, 7 whether
--       a key is there twice ('1'); then of each entry its partition, by number ('0': the log is
--       not here), how many decisions are in it, and their lines; then of each decision:
--       1 contacts as they were, 2 and are to be, 3 for how many ms ('': neither compared nor
--       set); if there are outbound streams 4 its own, by number ('0': nothing goes out), 5 what
--       goes out
-- Returns the place in the log of each entry (0: nowhere), and of each decision that is not new
-- its number, what became of it, and what is kept or the present contacts.
local call = redis.call
local logs, outs, keep, entries = ARGV[1] + 0, ARGV[2] + 0, ARGV[3], ARGV[5] + 0
local whole, often = ARGV[6] == '1', ARGV[7] == '1'
local base, begin, wide = logs + outs - 1, 8 + 3 * entries, outs > 0 and 5 or 3
local many = (#ARGV - begin + 1) / wide
local present, own, skipped, odd, twice = {{}}, {{}}, {{}}, {{}}, {{}}
local function tell(i, what, value)
  skipped[i] = true
  odd[#odd + 1], odd[#odd + 2], odd[#odd + 3] = i, what, value
end
local a, k = begin, base
for i = 1, many do
  k = k + 2
  local name, kept = KEYS[k], KEYS[k + 1]
  if often and own[kept] then
    tell(i, {AGAIN}, '')
    twice[#odd] = kept
  else
    local known = call('GET', kept)
    if known then
      tell(i, {AGAIN}, known)
    else
      local there = ARGV[a]
      if ARGV[a + 2] ~= '' then there = often and present[name] or call('GET', name) or '' end
      if there ~= ARGV[a] then
        tell(i, {CONFLICT}, there)
      elseif often then
        own[kept] = true
        if ARGV[a + 2] ~= '' then present[name] = ARGV[a + 1] end
      end
    end
  end
  a = a + wide
end
local added = {{}}
local function refuse(why)
  for _, one in ipairs(added) do call('XDEL', one[1], one[2]) end
  return redis.error_reply(why)
end
local lines, places, tails, ends, counts, last = {{}}, {{}}, {{}}, {{}}, {{}}, 0
for e = 1, entries do
  local h = 5 + 3 * e
  local p, first, text = ARGV[h] + 0, last + 1, ARGV[h + 2]
  last = last + ARGV[h + 1]
  ends[e], places[e] = last, 0
  local left = last - first + 1
  for i = first, last do
    if skipped[i] then left = left - 1 end
  end
  if whole or left < last - first + 1 then
    local some, i = {{}}, first
    for line in string.gmatch(text, '([^\\n]*)\\n') do
      if not skipped[i] then
        lines[i] = line
        some[#some + 1] = line
      end
      i = i + 1
    end
    some[#some + 1] = ''
    text = table.concat(some, '\\n')
  end
  if p > 0 and left > 0 then
    local id = redis.pcall('XADD', KEYS[p], '*', '{FIELD.decode()}', text)
    if type(id) == 'table' then return refuse(id.err) end
    added[#added + 1] = {{KEYS[p], id}}
    tails[e] = ' ' .. id .. ' ' .. KEYS[p]
    counts[p] = (counts[p] or 0) + 1
    places[e] = counts[p]
  end
end
for p, more in pairs(counts) do
  local count = counted(KEYS[p])
  if not count then return refuse(nocount) end
  counts[p] = count - more
end
if outs > 0 then
  for i = 1, many do
    local a = begin + wide * (i - 1) + 3
    if ARGV[a] ~= '0' and not skipped[i] then
      local stream = KEYS[logs + ARGV[a]]
      local sent = out(stream, ARGV[a + 1], ARGV[4])
      if type(sent) == 'table' then return refuse(sent.err) end
      added[#added + 1] = {{stream, sent}}
    end
  end
end
local i, a, k = 0, begin, base
for e = 1, entries do
  local head, line, tail = '{PENDING.decode()}', '', tails[e]
  if tail then
    places[e] = places[e] + counts[ARGV[5 + 3 * e] + 0]
    head, line = string.format('%.0f:', places[e]), 0
    if not whole then head = '{POINTER.decode()}' .. head end
  end
  while i < ends[e] do
    i, k = i + 1, k + 2
    if not skipped[i] then
      local after, ms = ARGV[a + 1], ARGV[a + 2]
      if ms ~= '' and after ~= ARGV[a] then set(KEYS[k], after, ms) end
      if whole then tail = ' ' .. lines[i] end
      call('SET', KEYS[k + 1], head .. line .. tail, 'PX', keep)
      if line ~= '' then line = line + 1 end
    end
    a = a + wide
  end
end
for o, kept in pairs(twice) do odd[o] = call('GET', kept) end
return {{places, odd}}
""")

# Of what is kept as a place in a stream.
LINES = _script("""
-- KEYS: streams
-- ARGV: of each line its stream, by number, the id of its entry, how many lines are before it
-- Returns each line; '' where the entry is no longer there.
local found, last, text = {}, nil, nil
for a = 1, #ARGV, 3 do
  local which = ARGV[a] .. ' ' .. ARGV[a + 1]
  if which ~= last then
    local entry = redis.call('XRANGE', KEYS[ARGV[a] + 0], ARGV[a + 1], ARGV[a + 1])[1]
    last, text = which, entry and entry[2][2] or ''
  end
  local from = 1
  for _ = 1, ARGV[a + 2] + 0 do
    from = string.find(text, '\\n', from, true)
    if not from then break end
    from = from + 1
  end
  local to = from and string.find(text, '\\n', from, true)
  found[#found + 1] = to and string.sub(text, from, to - 1) or ''
end
return found
""")

# For a log that is no stream of this store: the line is there now.
FINISH = _script(f"""
-- KEYS: what is kept, [outbound stream]
-- ARGV: 1 place in the log, 2 what goes out, 3 entries of the outbound stream
local kept = redis.call('GET', KEYS[1])
if not kept or string.sub(kept, 1, 2) ~= '{PENDING.decode()} ' then return 0 end
if KEYS[2] then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', '{OUTBOUND_FIELD.decode()}', ARGV[2])
end
redis.call('SET', KEYS[1], ARGV[1] .. string.sub(kept, 2), 'KEEPTTL')
return 1
""")

CHANGE = _script("""
-- KEYS: contacts
-- ARGV: 1 contacts as they were, 2 and are to be, 3 for how many ms
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
""")
