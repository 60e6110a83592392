#!lua flags=allow-oom
-- Take turns from a receiver's token bucket, kept as the moment at which it will be full again
-- (the generic cell rate algorithm, ITU-T I.371).
--
-- KEYS[1] pace (string)
-- ARGV[1] now, Unix ms   ARGV[2] one turn's time, ms   ARGV[3] how many turns may come at once
-- ARGV[4] how many are wanted
--
-- Returns {how many are granted now, ms until the next one}.

local now, each, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
-- A clock that was set back must not close the bucket for long.
full = math.min(full, now + each * burst)
local free = math.floor((now + each * burst - full) / each + 1e-6)
local granted = math.max(0, math.min(tonumber(ARGV[4]), free))
full = full + granted * each
if granted > 0 then
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(full - now) + 1000)
end
return {granted, math.max(0, math.ceil(full + each - now - each * burst))}
