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
COMMIT = _script(f"""
-- KEYS: contacts, what is kept, log partition, [outbound stream]
-- ARGV: 1 contacts as they were, 2 and are to be, 3 for how many ms ('': neither compared nor set),
--       4 ms that the line is kept, 5 line, 6 '1': append it here,
--       7 what goes out, 8 entries of the outbound stream
local kept = redis.call('GET', KEYS[2])
if kept then return {{{AGAIN}, kept}} end
if ARGV[3] ~= '' then
  local present = redis.call('GET', KEYS[1]) or ''
  if present ~= ARGV[1] then return {{{CONFLICT}, present}} end
end
local place, entry = '{PENDING.decode()}', nil
if ARGV[6] == '1' then
  entry = redis.call('XADD', KEYS[3], '*', '{FIELD.decode()}', ARGV[5] .. '\\n')
  local facts, added = redis.call('XINFO', 'STREAM', KEYS[3]), nil
  for i = 1, #facts, 2 do
    if facts[i] == 'entries-added' then added = facts[i + 1] end
  end
  if not added then
    redis.call('XDEL', KEYS[3], entry)
    return redis.error_reply('NOCOUNT this server does not count the entries of a stream, as ' ..
      'Redis has since 7.0 and Valkey always: decisions need receipts')
  end
  place = string.format('%.0f', added)
end
if KEYS[4] then
  local sent = redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*',
    '{OUTBOUND_FIELD.decode()}', ARGV[7])
  if type(sent) == 'table' and sent.err then
    if entry then redis.call('XDEL', KEYS[3], entry) end
    return redis.error_reply(sent.err)
  end
end
if ARGV[3] ~= '' and ARGV[1] ~= ARGV[2] then
  if ARGV[2] == '' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  end
end
redis.call('SET', KEYS[2], place .. ' ' .. ARGV[5], 'PX', ARGV[4])
return {{{DONE}, place}}
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
