-- Apply one decision to the record of one address, once for each message. Decides nothing: the effect in each
-- state comes from core/policy.py, whose `apply` is this script's reference. Called by store/commit.py only.
--
-- KEYS    1 the record, a hash: <prefix>:addr:<address>
-- ARGV    1 deadline, milliseconds of this server's clock: past it nothing may change any more
--         2 now  3 soft limit
--         4 effect when active  5 when on the brink  6 when hard:
--           nothing | note | count | suppress | break | lift
--         7 digest of the message, 11 characters, or ""  8 letter for how it counts: d, r, s, h or ""
--         9 at  10 until  11 keep until  12 reason
--         13 category  14 status  15 diagnostic  16 remote MTA  17 rule, each may be ""
-- RETURN  {"late", server's clock in milliseconds}, or
--         {new | upgraded | duplicate | stale | unchanged, state before, state after, soft,
--          hard_until or "", the message's letter while it is unsettled, else "",
--          and as they stood before: soft, hard_until or "", reason or ""}
--
-- The field "seen" holds the last 12 messages, oldest first, 13 characters each: digest, letter, and "?"
-- until settle.lua has found that all that follows from the record has been written, then ".".
-- HSET comes first: when memory is out it is refused, and nothing has changed.

local key, arg = KEYS[1], ARGV
local clock = redis.call('TIME')
local clock_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if clock_ms > tonumber(arg[1]) then
  return {'late', clock_ms}
end

local now, limit = tonumber(arg[2]), tonumber(arg[3])
local effects = {active = arg[4], brink = arg[5], hard = arg[6]}
local digest, letter, at = arg[7], arg[8], tonumber(arg[9])
local rank = {d = 0, r = 1, s = 2, h = 3}

local got = redis.call('HMGET', key, 'soft', 'hard_until', 'seen', 'first_at', 'last_at', 'reason', 'soft_total',
  'hard_total')
local soft, hard_until = tonumber(got[1]) or 0, got[2] or ''
local first_at, last_at = tonumber(got[4]), tonumber(got[5])
local stood = {soft, hard_until, got[6] or ''}

local function state()
  if (tonumber(hard_until) or 0) > now then return 'hard' end
  if soft + 1 >= limit then return 'brink' end
  return 'active'
end

local before = state()
local effect = effects[before]

local function reply(result, unsettled)
  return {result, before, state(), soft, hard_until, unsettled or '', unpack(stood)}
end

local seen, earlier, mark = '', nil, nil
for i = 1, #(got[3] or ''), 13 do
  local entry = string.sub(got[3], i, i + 12)
  if string.sub(entry, 1, 11) == digest then
    earlier, mark = string.sub(entry, 12, 12), string.sub(entry, 13, 13)
  else
    seen = seen .. entry
  end
end

if earlier and rank[earlier] >= rank[letter] then
  if mark ~= '?' then return reply('duplicate') end
  -- Whoever wrote this has not been told that it is safe. A WAIT covers the writes of its own connection only.
  redis.call('HSET', key, 'seen', got[3])
  return reply('duplicate', earlier)
end
if effect == 'nothing' then return reply('unchanged') end
if (effect == 'break' or effect == 'lift') and redis.call('EXISTS', key) == 0 then return reply('unchanged') end
local skew = digest ~= '' and 300 or 0  -- SKEW of core/policy.py
if effect == 'break' and last_at and at + skew < last_at then return reply('stale') end

local set, unset = {}, {}
local function put(field, value)
  if value == '' then
    unset[#unset + 1] = field
  else
    set[#set + 1] = field
    set[#set + 1] = value
  end
end

if effect == 'count' then
  soft = soft + 1
elseif effect ~= 'note' then
  soft = 0
end
put('soft', soft)
if effect == 'suppress' and tonumber(arg[10]) > (tonumber(hard_until) or 0) then
  hard_until = arg[10]
  put('hard_until', hard_until)
  put('reason', arg[12])
elseif effect == 'lift' then
  hard_until = ''
  put('hard_until', '')
  put('reason', '')
end

local bounce = letter == 'r' or letter == 's' or letter == 'h'
if bounce then
  if not first_at or at < first_at then put('first_at', at) end
  if not last_at or at >= last_at then
    put('last_at', at)
    put('category', arg[13])
    put('status', arg[14])
    put('diagnostic', arg[15])
    put('remote_mta', arg[16])
    put('rule', arg[17])
  end
end
if letter == 's' or earlier == 's' then
  put('soft_total', (tonumber(got[7]) or 0) + (letter == 's' and 1 or -1))
end
if letter == 'h' then put('hard_total', (tonumber(got[8]) or 0) + 1) end
if digest ~= '' then
  put('seen', string.sub(seen .. digest .. letter .. '?', -12 * 13))
end

redis.call('HSET', key, unpack(set))
if #unset > 0 then redis.call('HDEL', key, unpack(unset)) end

if effect == 'lift' then
  redis.call('EXPIREAT', key, arg[11])
elseif effect ~= 'break' then
  local expires = redis.call('EXPIRETIME', key)
  redis.call('EXPIREAT', key, math.max(expires, tonumber(arg[11]), tonumber(hard_until) or 0))
end

return reply(earlier and 'upgraded' or 'new', digest ~= '' and letter)
