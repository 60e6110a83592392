#!lua flags=allow-oom
-- End a batch of which every job has ended.
--
-- KEYS[1] batch (hash)   KEYS[2] its items (list)   KEYS[3] open batches (zset)
-- KEYS[4] the bytes of the tenant's sources (hash)
-- ARGV[1] batch id   ARGV[2] the last state   ARGV[3] ended, Unix ms   ARGV[4] retention, ms
-- ARGV[5] JSON object {state = true, ...}: the states it may be in
--
-- Returns 1, or 0 when it is in another state, or jobs of it are still live.

local record = redis.call('HMGET', KEYS[1], 'state', 'jobs', 'succeeded', 'failed', 'canceled', 'expired')
if not record[1] then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 0
end
local live = tonumber(record[2] or '0')
for i = 3, 6 do
  live = live - tonumber(record[i] or '0')
end
if live > 0 or not cjson.decode(ARGV[5])[record[1]] then
  return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'finished_unix_ms', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return 1
