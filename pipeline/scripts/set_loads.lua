#!lua flags=allow-oom
-- Set counters right that somebody has counted anew, but for those that have moved meanwhile.
--
-- KEYS[1] loads (hash)   ARGV[1..] for each counter: its field, what it was, what it is to be
--
-- Returns the fields that were set.

local set = {}
for i = 1, #ARGV, 3 do
  local field, was, right = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  if tonumber(redis.call('HGET', KEYS[1], field) or '0') == was then
    if right > 0 then
      redis.call('HSET', KEYS[1], field, right)
    else
      redis.call('HDEL', KEYS[1], field)
    end
    set[#set + 1] = field
  end
end
return set
