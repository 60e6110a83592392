#!lua flags=allow-oom
-- Drop a group's consumers that have claimed nothing and asked for nothing for long: instances that
-- are gone. One with claims stays: to drop it would be to drop them.
--
-- KEYS[1] stream   ARGV[1] consumer group   ARGV[2] idle for at least so long, ms
--
-- Returns how many were dropped.

local dropped = 0
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then
  return 0
end
for _, facts in ipairs(consumers) do
  local consumer = {}
  for i = 1, #facts, 2 do
    consumer[facts[i]] = facts[i + 1]
  end
  if consumer.pending == 0 and consumer.idle >= tonumber(ARGV[2]) then
    redis.pcall('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    dropped = dropped + 1
  end
end
return dropped
