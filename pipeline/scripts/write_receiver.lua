#!lua flags=allow-oom
-- Write a receiver's health if nobody has changed it since it was read.
--
-- KEYS[1] the receiver (hash)
-- ARGV[1] the revision that was read, "" for none   ARGV[2] how long it lives, ms, "0" for ever
-- ARGV[3..] field, value, ... of the new health
--
-- Returns 1, or 0 when it has another revision now.

local revision = redis.call('HGET', KEYS[1], 'revision')
if (revision or '') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'revision', (tonumber(ARGV[1]) or 0) + 1, unpack(ARGV, 3))
if ARGV[2] == '0' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
