#!lua flags=allow-oom
-- Announce an event that is not a job's end, once: its record, and the entry that the notifier fans
-- out. Nothing is written where nobody would be told.
--
-- KEYS[1] the event (hash)   KEYS[2] announcements (stream)   KEYS[3] the tenant's subscribed (hash)
-- KEYS[4] the tenant's events that are no job's end (zset)
-- ARGV[1] retention, ms   ARGV[2] "1" when somebody is named in the record
-- ARGV[3] the record as a JSON list {field, value, ...}   ARGV[4] the message, likewise
-- ARGV[5] its place in that index, "" for none
--
-- Returns 1, or 0 when the event was announced before or has no subscriber.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
if ARGV[2] ~= '1' and redis.call('EXISTS', KEYS[3]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(cjson.decode(ARGV[3])))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], '*', unpack(cjson.decode(ARGV[4])))
if ARGV[5] ~= '' then
  redis.call('ZADD', KEYS[4], 0, ARGV[5])
end
return 1
