#!lua
-- Take tokens from buckets, from all of them the same number, or none.
--
-- KEYS[1..] the buckets (hashes)
-- ARGV[1] the least to take   ARGV[2] the most to take
-- ARGV[3..] for each bucket: tokens per s, burst, how many are to be left in it
--
-- Returns {taken, 0, 0, levels...}, or {0, which bucket lacks most, ms until there are enough,
-- levels...} when there are fewer than the least. One level per bucket: {tokens left, ms until it is
-- full, or has enough}. Nothing is written where nothing is taken.

local least, take = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local buckets, levels, lacking, wait_ms = {}, {}, 0, 0
for i, key in ipairs(KEYS) do
  local rate, burst, spare = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local old = redis.call('HMGET', key, 'tokens', 'at_ms')
  local tokens = burst
  if old[1] then
    -- A clock that was set back fills nothing, and takes nothing away.
    local passed_ms = math.max(0, now_ms - tonumber(old[2]))
    tokens = math.min(burst, tonumber(old[1]) + passed_ms * rate / 1000)
  end
  local lack_ms = math.ceil((least + spare - tokens) * 1000 / rate)
  if lack_ms > wait_ms then
    lacking, wait_ms = i, lack_ms
  end
  take = math.min(take, math.floor(tokens - spare))
  buckets[i] = {rate = rate, burst = burst, tokens = tokens}
  levels[i] = {math.max(0, math.floor(tokens)), math.max(0, lack_ms)}
end
if lacking > 0 then
  return {0, lacking, wait_ms, unpack(levels)}
end
for i, bucket in ipairs(buckets) do
  local left = bucket.tokens - take
  local full_ms = math.ceil((bucket.burst - left) * 1000 / bucket.rate)
  redis.call('HSET', KEYS[i], 'tokens', string.format('%.6f', left), 'at_ms', now_ms)
  redis.call('PEXPIRE', KEYS[i], full_ms + 1000)
  levels[i] = {math.max(0, math.floor(left)), full_ms}
end
return {take, 0, 0, unpack(levels)}
