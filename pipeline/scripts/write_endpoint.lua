#!lua
-- Write, change or remove an endpoint together with its place among those that get every event of
-- their tenant. Has no allow-oom flag on purpose, as new work.
--
-- KEYS[1] endpoints (hash)   KEYS[2] the tenant's subscribed (hash)
-- ARGV[1] endpoint id   ARGV[2] the record as JSON text, "" to remove it
-- ARGV[3] the record that was read, "" where there must be none; "*" for whatever is there
-- ARGV[4] "1" when it subscribes
--
-- Returns 1, or 0 when the record is not the one that was read.

local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if ARGV[3] ~= '*' and there ~= ARGV[3] then
  return 0
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[2], ARGV[1], '1')
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return 1
