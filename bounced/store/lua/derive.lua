-- Write the key that senders ask for, from what the record says. Doing it again changes nothing.
-- Called by store/commit.py only, after record.lua or settle.lua.
--
-- KEYS    1 the derived key: <prefix>:hard:<address>
-- ARGV    1 deadline, milliseconds of this server's clock: past it nothing may change any more
--         2 until when the address must be left alone, Unix seconds, or "": it need not
-- RETURN  {"late", server's clock in milliseconds}, or {"derived"}

local clock = redis.call('TIME')
local clock_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if clock_ms > tonumber(ARGV[1]) then
  return {'late', clock_ms}
end

if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'EXAT', ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return {'derived'}
