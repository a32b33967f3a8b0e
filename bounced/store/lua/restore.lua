-- Let a record stand as it would without what is undone, unless it has changed since that was worked out.
-- Called by store/repair.py only. Decides nothing: how it would stand comes from core/history.py.
--
-- KEYS    1 the record, a hash: <prefix>:addr:<address>
-- ARGV    1 deadline, milliseconds of this server's clock: past it nothing may change any more
--         2 soft  3 hard_until  4 seen: as they were read, each "" if it was missing
--         5 soft  6 hard_until  7 reason  8 seen: as they are to be, each may be ""
--         9 what to add to soft_total  10 to hard_total
-- RETURN  {"late", server's clock in milliseconds}, or {"restored"}, or {"changed"}

local key, arg = KEYS[1], ARGV
local clock = redis.call('TIME')
local clock_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if clock_ms > tonumber(arg[1]) then
  return {'late', clock_ms}
end

local got = redis.call('HMGET', key, 'soft', 'hard_until', 'seen')
for i = 1, 3 do
  if (got[i] or '') ~= arg[i + 1] then return {'changed'} end
end

redis.call('HSET', key, 'soft', arg[5])
for i, field in ipairs({'hard_until', 'reason', 'seen'}) do
  if arg[i + 5] == '' then
    redis.call('HDEL', key, field)
  else
    redis.call('HSET', key, field, arg[i + 5])
  end
end
if arg[9] ~= '0' then redis.call('HINCRBY', key, 'soft_total', arg[9]) end
if arg[10] ~= '0' then redis.call('HINCRBY', key, 'hard_total', arg[10]) end
return {'restored'}
