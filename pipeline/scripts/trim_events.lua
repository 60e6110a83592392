#!lua flags=allow-oom
-- Trim the oldest events of a tenant's log: those past their age, and those that are too many.
--
-- KEYS[1] events (stream)   KEYS[2] events-trimmed (hash)
-- ARGV[1] Unix ms: what is older goes   ARGV[2] how many events may stay
-- ARGV[3] tenant   ARGV[4] how many are looked at in one call
--
-- Returns how many were trimmed. The last one's id is noted, so that a reader can be told of a gap.

local rows = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[4])
local too_many = redis.call('XLEN', KEYS[1]) - ARGV[2]
local last = 0
for i, row in ipairs(rows) do
  local ms = tonumber(string.match(row[1], '^%d+'))
  if ms >= tonumber(ARGV[1]) and i > too_many then
    break
  end
  last = i
end
if last > 0 then
  local id = rows[last][1]
  local ms, number = string.match(id, '^(%d+)-(%d+)$')
  redis.call('XTRIM', KEYS[1], 'MINID', string.format('%s-%.0f', ms, number + 1))
  redis.call('HSET', KEYS[2], ARGV[3], id)
end
return last
