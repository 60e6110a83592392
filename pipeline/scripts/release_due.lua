#!lua flags=allow-oom
-- Put deliveries whose moment has come back into a stream, but no more than it has room for: what
-- is behind a long stream waits as well in the schedule. Several movers may run at once.
--
-- KEYS[1] delivery-schedule (zset)   KEYS[2] retries (stream)
-- ARGV[1] now, Unix ms   ARGV[2] at most so many   ARGV[3] message kind
-- ARGV[4] how long the stream may get   ARGV[5] later than anything can be due, Unix ms: what is
-- due then was put there before the clock was set back, and goes now
--
-- Returns {how many were released, Unix ms of the next one or ""}.

local room = math.min(tonumber(ARGV[2]), ARGV[4] - redis.call('XLEN', KEYS[2]))
local due = {}
if room > 0 then
  due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, room)
  if #due == 0 then
    due = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[5], '+inf', 'LIMIT', 0, room)
  end
end
for _, id in ipairs(due) do
  redis.call('XADD', KEYS[2], '*', 'kind', ARGV[3], 'delivery_id', id)
  redis.call('ZREM', KEYS[1], id)
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {#due, next[2] or ''}
