#!lua flags=allow-oom
-- Count items of a batch that have become jobs, or errors.
--
-- KEYS[1] batch (hash)   KEYS[2] its items (list)
-- ARGV[1] index of the first of these items   ARGV[2] how many became jobs
-- ARGV[3..] the items as JSON text
--
-- Returns 1 to go on, 2 when the batch has been withdrawn meanwhile (these items still count), 0 when
-- nothing was written: the batch is gone or through, or somebody else has counted these items.

local record = redis.call('HMGET', KEYS[1], 'state', 'withdrawn')
local state, withdrawn = record[1], record[2]
if (state ~= 'expanding' and state ~= 'canceling') or withdrawn == '1' then
  return 0
end
if redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[1]) then
  return 0
end
local items = #ARGV - 2
redis.call('RPUSH', KEYS[2], unpack(ARGV, 3))
redis.call('HINCRBY', KEYS[1], 'items', items)
redis.call('HINCRBY', KEYS[1], 'jobs', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'refused', items - ARGV[2])
redis.call('HSET', KEYS[1], 'attempts', '0')
return state == 'canceling' and 2 or 1
