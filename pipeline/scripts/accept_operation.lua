#!lua
-- Store an operation that somebody asks for, unless its endpoint has one under way: two would send
-- at twice the rate. Has no allow-oom flag on purpose, as new work.
--
-- KEYS[1] operation (hash)   KEYS[2] open-operations (hash)
-- ARGV[1] operation id   ARGV[2] endpoint id   ARGV[3..] the record: field, value, ...
--
-- Returns "" when stored, or the id of the operation that is under way.

local open = redis.call('HGET', KEYS[2], ARGV[2])
if open and open ~= ARGV[1] then
  return open
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
return ''
