#!lua flags=allow-oom
-- Start claimed jobs: queued -> running, or running -> running when a dead claim was taken over.
--
-- KEYS[1] counts (hash)
-- KEYS[2..] for each job: its record (hash), the stream its entry was claimed from
-- ARGV[1] consumer group   ARGV[2] now, Unix ms
-- ARGV[3..] for each job: the claimed entry's id
--
-- Returns for each job the record as a flat list after the move, or an empty list when the job has
-- left these states (or is gone): its entry is then acknowledged and removed here.

local answers = {}
for i = 3, #ARGV do
  local record, stream = KEYS[2 * (i - 2)], KEYS[2 * (i - 2) + 1]
  local state = redis.call('HGET', record, 'state')
  if state == 'queued' or state == 'running' then
    if state == 'queued' then
      redis.call('HINCRBY', KEYS[1], 'queued', -1)
      redis.call('HINCRBY', KEYS[1], 'running', 1)
    end
    redis.call('HINCRBY', record, 'attempt', 1)
    redis.call('HSET', record, 'state', 'running', 'started_unix_ms', ARGV[2])
    answers[#answers + 1] = redis.call('HGETALL', record)
  else
    if redis.call('XACK', stream, ARGV[1], ARGV[i]) == 1 then
      redis.call('XDEL', stream, ARGV[i])
    end
    answers[#answers + 1] = {}
  end
end
return answers
