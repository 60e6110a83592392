#!lua flags=allow-oom
-- Publish what one dispatcher can run, over what it published before, stamped with this server's
-- clock; forget dispatchers that have not published for long.
--
-- KEYS[1] models (hash: one field per dispatcher)   KEYS[2] models-seen (zset)
-- KEYS[3..] rules that its models use
-- ARGV[1] instance   ARGV[2] catalogue as JSON text   ARGV[3] forgotten after, ms
-- ARGV[4] how long rules stay, ms   ARGV[5] how many rules
-- ARGV[6..] texts of the rules, in the order of their keys; then the names that are on the shelf
--
-- Each value of the hash is the moment, Unix ms, a space, and the catalogue.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local rules = tonumber(ARGV[5])

redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', now, ARGV[2]))
for i = 1, rules do
  redis.call('SET', KEYS[2 + i], ARGV[5 + i], 'PX', ARGV[4])
end
for i = 6 + rules, #ARGV do
  redis.call('ZADD', KEYS[2], now, ARGV[i])
end

local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '^(%d+) '))
  if at and now - at > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return now
