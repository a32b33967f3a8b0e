-- init.lua: refuse who is suppressed when a message is injected over SMTP or HTTP.
local redis = require 'redis'

kumo.on('smtp_server_message_received', function(msg)
[plain]  local key = '@prefix@:hard:' .. string.lower(msg:recipient().email)
[sha256]  local key = '@prefix@:hard:' .. kumo.digest.sha256(string.lower(msg:recipient().email)).hex
  local store = redis.open { node = '@url@' }
  if store:query('EXISTS', key) == 1 then
    kumo.reject(550, '5.1.1 mail to this address has bounced')
  end
end)
