#!lua
-- Accept jobs: all of them or none.
--
-- KEYS[1] counts (hash)   KEYS[2] deadlines (zset)
-- KEYS[3..] for each job: its record (hash), its infer stream
-- ARGV[1] how many jobs may wait at most
-- ARGV[2] JSON list, one object per job:
--         {id, deadline ("" or Unix ms), record = {field, value, ...}, message = {field, value, ...}}
--
-- Returns {1, waiting after} when accepted, {0, waiting} when that would be too many. Safe to repeat
-- after a lost answer: jobs that are already stored are not stored again.
-- Has no allow-oom flag on purpose: at its memory limit Redis refuses new work here, while the
-- moves of accepted jobs go on.

local jobs = cjson.decode(ARGV[2])
local waiting = tonumber(redis.call('HGET', KEYS[1], 'queued') or '0')
if redis.call('EXISTS', KEYS[3]) == 1 then
  return {1, waiting}
end
if waiting + #jobs > tonumber(ARGV[1]) then
  return {0, waiting}
end

for i, job in ipairs(jobs) do
  local record, stream = KEYS[1 + 2 * i], KEYS[2 + 2 * i]
  redis.call('HSET', record, unpack(job.record))
  redis.call('XADD', stream, '*', unpack(job.message))
  if job.deadline ~= '' then
    redis.call('ZADD', KEYS[2], job.deadline, job.id)
  end
end
redis.call('HINCRBY', KEYS[1], 'queued', #jobs)
return {1, waiting + #jobs}
