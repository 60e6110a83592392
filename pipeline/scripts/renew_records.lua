#!lua flags=allow-oom
-- Let records live on that are still needed. What has no end, or is gone, stays as it is.
--
-- KEYS[1..] records   ARGV[1] how long they live from now on, ms, where less than half of it is left
--
-- Returns how many live longer than before.

local life_ms = tonumber(ARGV[1])
local renewed = 0
for _, record in ipairs(KEYS) do
  local left_ms = redis.call('PTTL', record)
  if left_ms >= 0 and left_ms < life_ms / 2 then
    redis.call('PEXPIRE', record, life_ms)
    renewed = renewed + 1
  end
end
return renewed
