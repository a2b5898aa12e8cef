"""What the store does at once for a decision or an outcome."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ..partitions import FIELD

DONE, AGAIN, CONFLICT = 0, 1, 2
"""What `COMMIT` answers first. Then: the place in the log, what is kept, the present contacts."""
PENDING = b"-"
"""The place in the log of what is not known to be there."""
OUTBOUND_FIELD = b"decision"


class Script(NamedTuple):
    """A script and its SHA-1."""

    text: bytes
    sha: str


def _script(text: str) -> Script:
    raw = text.encode()
    return Script(raw, hashlib.sha1(raw, usedforsecurity=False).hexdigest())


# What can fail comes first, and is taken back: a script that ends in an error has changed nothing.
# Several decisions for one customer count one after the other.
COMMIT = _script(f"""
-- KEYS: partitions of the log, outbound streams; then of each decision its contacts, what is kept
-- ARGV: 1 how many decisions, 2 partitions, 3 outbound streams, 4 ms that a line is kept,
--       5 entries of an outbound stream, 6 bytes of an entry of the log; then of each decision:
--       1 its partition, by number ('0': the log is not here), 2 contacts as they were, 3 and are
--       to be, 4 for how many ms ('': neither compared nor set), 5 line,
--       6 its outbound stream, by number ('0': nothing goes out), 7 what goes out
local many, logs, outs, most = ARGV[1] + 0, ARGV[2] + 0, ARGV[3] + 0, ARGV[6] + 0
local answers, chosen, present, own = {{}}, {{}}, {{}}, {{}}
local entries, lines, sizes = {{}}, {{}}, {{}}
for p = 1, logs do entries[p], lines[p], sizes[p] = {{}}, {{}}, 0 end
local function entry_of(some)
  some[#some + 1] = ''
  return table.concat(some, '\\n')
end
for i = 1, many do
  local a, k = 7 * i, logs + outs + 2 * i - 1
  local before, kept, conflict = ARGV[a + 1], KEYS[k + 1], nil
  if own[kept] then
    answers[2 * i - 1], answers[2 * i] = {AGAIN}, own[kept]
  else
    local known = redis.call('GET', kept)
    if not known and ARGV[a + 3] ~= '' then
      local there = present[KEYS[k]] or redis.call('GET', KEYS[k]) or ''
      if there ~= before then conflict = there else present[KEYS[k]] = ARGV[a + 2] end
    end
    if known then
      answers[2 * i - 1], answers[2 * i] = {AGAIN}, known
    elseif conflict then
      answers[2 * i - 1], answers[2 * i] = {CONFLICT}, conflict
    else
      own[kept], chosen[#chosen + 1] = i, i
      answers[2 * i - 1], answers[2 * i] = {DONE}, '{PENDING.decode()}'
      local p, line = ARGV[a] + 0, ARGV[a + 4]
      if p > 0 then
        if sizes[p] + #line >= most and sizes[p] > 0 then
          entries[p][#entries[p] + 1] = entry_of(lines[p])
          lines[p], sizes[p] = {{}}, 0
        end
        lines[p][#lines[p] + 1] = line
        sizes[p] = sizes[p] + #line + 1
        answers[2 * i] = {{p, #entries[p], #lines[p] - 1}}
      end
    end
  end
end
local added = {{}}
local function refuse(why)
  for _, one in ipairs(added) do redis.call('XDEL', one[1], one[2]) end
  return redis.error_reply(why)
end
local begins = {{}}
for p = 1, logs do
  if sizes[p] > 0 then
    entries[p][#entries[p] + 1] = entry_of(lines[p])
    for _, entry in ipairs(entries[p]) do
      local id = redis.pcall('XADD', KEYS[p], '*', '{FIELD.decode()}', entry)
      if type(id) == 'table' and id.err then return refuse(id.err) end
      added[#added + 1] = {{KEYS[p], id}}
    end
    local facts, count = redis.call('XINFO', 'STREAM', KEYS[p]), nil
    for i = 1, #facts, 2 do
      if facts[i] == 'entries-added' then count = facts[i + 1] end
    end
    if not count then
      return refuse('NOCOUNT this server does not count the entries of a stream, as ' ..
        'Redis has since 7.0 and Valkey always: decisions need receipts')
    end
    begins[p] = count - #entries[p] + 1
  end
end
for _, i in ipairs(chosen) do
  local o = ARGV[7 * i + 5] + 0
  if o > 0 then
    local sent = redis.pcall('XADD', KEYS[logs + o], 'MAXLEN', '~', ARGV[5], '*',
      '{OUTBOUND_FIELD.decode()}', ARGV[7 * i + 6])
    if type(sent) == 'table' and sent.err then return refuse(sent.err) end
    added[#added + 1] = {{KEYS[logs + o], sent}}
  end
end
for _, i in ipairs(chosen) do
  local a, k, place = 7 * i, logs + outs + 2 * i - 1, answers[2 * i]
  if type(place) == 'table' then
    local p, entry, line = place[1], place[2], place[3]
    place = string.format('%.0f', begins[p] + entry)
    if line > 0 then place = place .. ':' .. line end
    answers[2 * i] = place
  end
  if ARGV[a + 3] ~= '' and ARGV[a + 1] ~= ARGV[a + 2] then
    if ARGV[a + 2] == '' then
      redis.call('DEL', KEYS[k])
    else
      redis.call('SET', KEYS[k], ARGV[a + 2], 'PX', ARGV[a + 3])
    end
  end
  redis.call('SET', KEYS[k + 1], place .. ' ' .. ARGV[a + 4], 'PX', ARGV[4])
end
for i = 1, many do
  local first = answers[2 * i]
  if type(first) == 'number' then
    answers[2 * i] = answers[2 * first] .. ' ' .. ARGV[7 * first + 4]
  end
end
return answers
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
