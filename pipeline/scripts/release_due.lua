#!lua flags=allow-oom
-- Put deliveries whose moment has come back into the stream. Several movers may run at once.
--
-- KEYS[1] delivery-schedule (zset)   KEYS[2] deliveries (stream)
-- ARGV[1] now, Unix ms   ARGV[2] at most so many   ARGV[3] message kind
--
-- Returns {how many were released, Unix ms of the next one or ""}.

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  redis.call('XADD', KEYS[2], '*', 'kind', ARGV[3], 'delivery_id', id)
  redis.call('ZREM', KEYS[1], id)
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {#due, next[2] or ''}
