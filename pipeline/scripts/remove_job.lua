#!lua flags=allow-oom
-- Remove an ended job with what was kept for it. A delivery that is still to be made stays, brought
-- forward: the notifier finds no job, and ends it for good, whoever waits behind it.
--
-- KEYS[1] the job's record (hash)   KEYS[2] the tenant's jobs (zset)
-- KEYS[3] delivery-schedule (zset)
-- KEYS[4..] for each of its deliveries: its record (hash), its attempts (list)
-- ARGV[1] the job's id   ARGV[2] JSON: the states that have ended, {state = true, ...}
-- ARGV[3..] the ids of its deliveries
--
-- Returns "" when removed, the state of a job that has not ended, or "gone".

local state = redis.call('HGET', KEYS[1], 'state')
if not state then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 'gone'
end
if not cjson.decode(ARGV[2])[state] then
  return state
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 3, #ARGV do
  local record, attempts = KEYS[2 * i - 2], KEYS[2 * i - 1]
  if redis.call('HGET', record, 'state') == 'pending' then
    redis.call('ZADD', KEYS[3], 'XX', 0, ARGV[i])
  else
    redis.call('DEL', record, attempts)
  end
end
return ''
