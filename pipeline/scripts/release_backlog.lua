#!lua flags=allow-oom
-- Release the first deliveries of one receiver's backlog, and say when the next ones may go.
--
-- KEYS[1] backlogs (zset)   KEYS[2] the receiver's backlog (zset)   KEYS[3] retries (stream)
-- ARGV[1] receiver   ARGV[2] at most so many   ARGV[3] message kind
-- ARGV[4] now, Unix ms   ARGV[5] the next moment, Unix ms   ARGV[6] later than any moment can be
--
-- Returns how many were released, or -1 when another notifier was first or there is none.

local moment = redis.call('ZSCORE', KEYS[1], ARGV[1])
moment = moment and tonumber(moment)
if not moment or (moment > tonumber(ARGV[4]) and moment < tonumber(ARGV[6])) then
  return -1
end
local ids = {}
if tonumber(ARGV[2]) > 0 then
  ids = redis.call('ZRANGE', KEYS[2], 0, ARGV[2] - 1)
end
for _, id in ipairs(ids) do
  redis.call('XADD', KEYS[3], '*', 'kind', ARGV[3], 'delivery_id', id)
  redis.call('ZREM', KEYS[2], id)
end
if redis.call('ZCARD', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[5], ARGV[1])
end
return #ids
