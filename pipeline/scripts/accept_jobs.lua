#!lua
-- Accept jobs of one tenant: all of them or none.
--
-- KEYS[1] counts (hash)   KEYS[2] deadlines (zset)
-- KEYS[3] the tenant's jobs (zset)   KEYS[4] the tenant's events (stream)   KEYS[5] loads (hash)
-- KEYS[6..] whatever the arguments refer to by index
-- ARGV[1] how many jobs may wait at most
-- ARGV[2] JSON list, one object per job:
--   id         the job's id
--   record     index of its record (hash)
--   stream     index of its infer stream
--   waiting    index of the set of its model's streams
--   member     the stream's name in that set
--   bell       index of its model's bell (stream)
--   deadline   "" or Unix ms
--   fields     {field, value, ...} of the record
--   message    {field, value, ...} of the stream's entry
-- ARGV[3] "" or the promise: what a repeated request is to be answered from
-- ARGV[4] how long the promise is kept, ms
-- ARGV[5] JSON object:
--   promise    index of where the promise is kept (string), with one
--   loads      {field, by, ...}: by how much the jobs raise each load
--   ceilings   list of {name, fields = {load, ...}, by, max, unless = absent or another ceiling}
--   buckets    list of {name, key = index (hash), rate = tokens per s, burst}
-- ARGV[6] "" to accept, or "weigh" to say what would become of it and to write nothing
--
-- Returns {1, waiting after, "", "", 0, levels...} when accepted. {0, waiting, "", name, amount,
-- levels...} when that would be too much: of what, and the sum so far, or for a bucket the ms until
-- there are enough tokens. {2, waiting, promise} when a promise was made under this key before. One
-- level per bucket: {tokens left, ms until it is full, or has enough}. Nothing is written but with 1.
-- Safe to repeat after a lost answer: jobs that are already stored are not stored again.
-- Has no allow-oom flag on purpose: at its memory limit Redis refuses new work here, while the
-- moves of accepted jobs go on.

local jobs, held_to = cjson.decode(ARGV[2]), cjson.decode(ARGV[5])
local waiting = tonumber(redis.call('HGET', KEYS[1], 'queued') or '0')
if ARGV[3] ~= '' then
  local earlier = redis.call('GET', KEYS[held_to.promise])
  if earlier then
    return {2, waiting, earlier}
  end
end
if redis.call('EXISTS', KEYS[jobs[1].record]) == 1 then
  return {1, waiting}
end
if waiting + #jobs > tonumber(ARGV[1]) then
  return {0, waiting, '', 'queue', waiting}
end

local function sum_of(ceiling)
  local sum = 0
  for _, field in ipairs(ceiling.fields) do
    sum = sum + math.max(0, tonumber(redis.call('HGET', KEYS[5], field) or '0'))
  end
  return sum
end

for _, ceiling in ipairs(held_to.ceilings) do
  local sum = sum_of(ceiling)
  local other = ceiling.unless
  if sum + ceiling.by > ceiling.max and (not other or sum_of(other) + other.by > other.max) then
    return {0, waiting, '', ceiling.name, sum}
  end
end

local levels, lacking, wait_ms = {}, '', 0
if #held_to.buckets > 0 then
  local time = redis.call('TIME')
  local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  for i, bucket in ipairs(held_to.buckets) do
    local old = redis.call('HMGET', KEYS[bucket.key], 'tokens', 'at_ms')
    local tokens = bucket.burst
    if old[1] then
      -- A clock that was set back fills nothing, and takes nothing away.
      local passed_ms = math.max(0, now_ms - tonumber(old[2]))
      tokens = math.min(bucket.burst, tonumber(old[1]) + passed_ms * bucket.rate / 1000)
    end
    local lack_ms = math.ceil((math.min(#jobs, bucket.burst) - tokens) * 1000 / bucket.rate)
    if lack_ms > wait_ms then
      lacking, wait_ms = bucket.name, lack_ms
    end
    bucket.tokens, bucket.now_ms = tokens, now_ms
    levels[i] = {math.max(0, math.floor(tokens)), math.max(0, lack_ms)}
  end
  if lacking ~= '' then
    return {0, waiting, '', lacking, wait_ms, unpack(levels)}
  end
end
if ARGV[6] == 'weigh' then
  return {1, waiting, '', '', 0, unpack(levels)}
end
for i, bucket in ipairs(held_to.buckets) do
  local key = KEYS[bucket.key]
  local left = bucket.tokens - #jobs
  local full_ms = math.ceil((bucket.burst - left) * 1000 / bucket.rate)
  redis.call('HSET', key, 'tokens', string.format('%.6f', left), 'at_ms', bucket.now_ms)
  redis.call('PEXPIRE', key, full_ms + 1000)
  levels[i] = {math.max(0, math.floor(left)), full_ms}
end

local rung = {}
for _, job in ipairs(jobs) do
  redis.call('HSET', KEYS[job.record], unpack(job.fields))
  redis.call('XADD', KEYS[job.stream], '*', unpack(job.message))
  redis.call('SADD', KEYS[job.waiting], job.member)
  redis.call('ZADD', KEYS[3], 0, job.id)
  redis.call('XADD', KEYS[4], '*', 'job', job.id, 'event', 'accepted')
  if job.deadline ~= '' then
    redis.call('ZADD', KEYS[2], job.deadline, job.id)
  end
  if not rung[job.bell] then
    redis.call('XADD', KEYS[job.bell], 'MAXLEN', 1, '*', 'work', 1)
    rung[job.bell] = true
  end
end
redis.call('HINCRBY', KEYS[1], 'queued', #jobs)
for i = 1, #held_to.loads, 2 do
  redis.call('HINCRBY', KEYS[5], held_to.loads[i], held_to.loads[i + 1])
end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[held_to.promise], ARGV[3], 'PX', ARGV[4])
end
return {1, waiting + #jobs, '', '', 0, unpack(levels)}
