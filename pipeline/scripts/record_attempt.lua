#!lua flags=allow-oom
-- Record one delivery attempt and what follows from it.
--
-- KEYS[1] delivery (hash)   KEYS[2] attempts (list)   KEYS[3] deliveries (stream)
-- KEYS[4] delivery-schedule (zset)   KEYS[5] the job (hash)
-- ARGV[1] consumer group   ARGV[2] entry id   ARGV[3] delivery id
-- ARGV[4] new state        ARGV[5] next attempt, Unix ms, "" for none
-- ARGV[6] the attempt as JSON text, "" when this was a postponement and not an attempt
-- ARGV[7] with a next attempt: how long the records must live on for it, ms
--
-- Returns 1, or 0 when another notifier had acknowledged the entry first (nothing is written then),
-- or when the record has outlived its retention.

if redis.call('XACK', KEYS[3], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XDEL', KEYS[3], ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if ARGV[6] ~= '' then
  redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  redis.call('RPUSH', KEYS[2], ARGV[6])
  redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'state', ARGV[4], 'due_unix_ms', ARGV[5])
  redis.call('ZADD', KEYS[4], ARGV[5], ARGV[3])
  for _, key in ipairs({KEYS[1], KEYS[2], KEYS[5]}) do
    redis.call('PEXPIRE', key, ARGV[7], 'GT')
  end
else
  redis.call('HSET', KEYS[1], 'state', ARGV[4], 'due_unix_ms', '0')
end
return 1
