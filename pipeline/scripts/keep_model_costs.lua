#!lua
-- Keep what models cost, and of all that is known only the newest.
--
-- KEYS[1] model-costs (hash)   ARGV[1] how many are kept   ARGV[2..] key, cost as JSON text, ...

redis.call('HSET', KEYS[1], unpack(ARGV, 2))
local excess = redis.call('HLEN', KEYS[1]) - tonumber(ARGV[1])
if excess > 0 then
  local all, aged = redis.call('HGETALL', KEYS[1]), {}
  for i = 1, #all, 2 do
    local at = string.match(all[i + 1], '"measured_unix_ms":(%d+)') or '0'
    aged[#aged + 1] = {tonumber(at), all[i]}
  end
  table.sort(aged, function(a, b) return a[1] < b[1] end)
  for i = 1, excess do
    redis.call('HDEL', KEYS[1], aged[i][2])
  end
end
return excess
