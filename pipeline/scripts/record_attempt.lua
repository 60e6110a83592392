#!lua flags=allow-oom
-- Record one delivery attempt and what follows from it.
--
-- KEYS[1] delivery (hash)   KEYS[2] attempts (list)   KEYS[3] the stream of the entry
-- KEYS[4] delivery-schedule, or the receiver's backlog (zset)
-- KEYS[5] what it is about: the job or the event (hash)
-- KEYS[6] backlogs (zset)   KEYS[7] deliveries (stream)
-- KEYS[8] the list of its order, or the delivery again where it has none
-- KEYS[9] the tenant's exhausted deliveries (zset)
-- ARGV[1] consumer group   ARGV[2] entry id   ARGV[3] delivery id
-- ARGV[4] new state        ARGV[5] next attempt, Unix ms, "" for none
-- ARGV[6] the attempt as JSON text, "" when this was a postponement and not an attempt
-- ARGV[7] with a next attempt: how long the records must live on for it, ms
-- ARGV[8] the receiver whose backlog it joins, "" for the schedule
-- ARGV[9] retention of what has ended, ms   ARGV[10] "1" where it has an order
-- ARGV[11] message kind   ARGV[12] its place among the exhausted, where it is to be kept there
-- ARGV[13] why it is exhausted, "" where it is not
--
-- Returns 1, or 0 when another notifier had acknowledged the entry first (nothing is written then),
-- or when the record has outlived its retention.

if redis.call('XACK', KEYS[3], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XDEL', KEYS[3], ARGV[2])

local ended, ordered = ARGV[5] == '', ARGV[10] == '1'
if ordered and ended then
  -- Whoever waits behind it is next, even where its own record is gone.
  if redis.call('LINDEX', KEYS[8], 0) == ARGV[3] then
    redis.call('LPOP', KEYS[8])
    local next = redis.call('LINDEX', KEYS[8], 0)
    if next then
      redis.call('XADD', KEYS[7], '*', 'kind', ARGV[11], 'delivery_id', next)
    end
  else
    redis.call('LREM', KEYS[8], 0, ARGV[3])
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end

if ARGV[6] ~= '' then
  redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  redis.call('RPUSH', KEYS[2], ARGV[6])
  local left_ms = redis.call('PTTL', KEYS[1])
  if left_ms > 0 then
    redis.call('PEXPIRE', KEYS[2], left_ms)
  else
    redis.call('PERSIST', KEYS[2])
  end
end
if not ended then
  redis.call('HSET', KEYS[1], 'state', ARGV[4], 'due_unix_ms', ARGV[5])
  if ARGV[8] == '' then
    redis.call('ZADD', KEYS[4], ARGV[5], ARGV[3])
  else
    -- In the order in which they joined; the receiver's own moment says when the first may go.
    local last = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')[2]
    redis.call('ZADD', KEYS[4], 'NX', (last or 0) + 1, ARGV[3])
    redis.call('ZADD', KEYS[6], 'NX', ARGV[5], ARGV[8])
  end
  for _, key in ipairs({KEYS[1], KEYS[2], KEYS[5]}) do
    redis.call('PEXPIRE', key, ARGV[7], 'GT')
  end
  return 1
end

redis.call('HSET', KEYS[1], 'state', ARGV[4], 'due_unix_ms', '0', 'reason', ARGV[13])
if ARGV[13] ~= '' and ARGV[12] ~= '' then
  redis.call('ZADD', KEYS[9], 0, ARGV[12])
end
if redis.call('HGET', KEYS[1], 'waits') == '1' then
  redis.call('HSET', KEYS[1], 'waits', '0')
  redis.call('PEXPIRE', KEYS[1], ARGV[9])
  redis.call('PEXPIRE', KEYS[2], ARGV[9])
  if redis.call('EXISTS', KEYS[5]) == 1 and redis.call('HINCRBY', KEYS[5], 'awaited', -1) <= 0
    and redis.call('PTTL', KEYS[5]) == -1 then
    redis.call('PEXPIRE', KEYS[5], ARGV[9])
  end
end
return 1
