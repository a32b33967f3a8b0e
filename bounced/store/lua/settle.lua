-- Note that all that follows from the record has been written, unless the record has changed meanwhile.
-- Called by store/commit.py only, after the derived key and the event.
--
-- KEYS    1 the record, a hash: <prefix>:addr:<address>
-- ARGV    1 deadline, milliseconds of this server's clock: past it nothing may change any more
--         2 the message's entry in "seen" without its mark: digest and letter, or ""
--         3 the hard_until that the derived key was written from, or ""
-- RETURN  {"late", server's clock in milliseconds}, or
--         {"settled"}, or {"changed", hard_until or ""}: derive the key again from this one

local clock = redis.call('TIME')
local clock_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if clock_ms > tonumber(ARGV[1]) then
  return {'late', clock_ms}
end

local got = redis.call('HMGET', KEYS[1], 'hard_until', 'seen')
local hard_until, seen = got[1] or '', got[2] or ''
if hard_until ~= ARGV[3] then
  return {'changed', hard_until}
end

if ARGV[2] ~= '' then
  for i = 1, #seen, 13 do
    if string.sub(seen, i, i + 12) == ARGV[2] .. '?' then
      redis.call('HSET', KEYS[1], 'seen', string.sub(seen, 1, i + 11) .. '.' .. string.sub(seen, i + 13))
    end
  end
end
return {'settled'}
