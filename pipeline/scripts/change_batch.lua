#!lua flags=allow-oom
-- Change fields of a batch's record, if it is in the expected state.
--
-- KEYS[1] batch (hash)
-- ARGV[1] JSON object {state = true, ...}: the states it may be in
-- ARGV[2..] field, value, ...
--
-- Returns 1, or 0 when it is in another state, or gone.

local state = redis.call('HGET', KEYS[1], 'state')
if not state or not cjson.decode(ARGV[1])[state] then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
