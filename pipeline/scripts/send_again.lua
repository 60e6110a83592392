#!lua
-- Put deliveries on their way again, or for the first time, and note how far the operation is that
-- does it: a step that is repeated after a crash finds the place moved, and changes nothing.
-- Has no allow-oom flag on purpose, as new work: it waits while Redis is full.
--
-- KEYS[1] the operation (hash), or whatever where there is none   KEYS[2] open-operations (hash)
-- KEYS[3] delivery-schedule (zset)   KEYS[4] the tenant's deliveries (zset)
-- KEYS[5] its exhausted deliveries (zset)
-- KEYS[6..] for each delivery: its record (hash), its attempts (list), what it is about (hash)
-- ARGV[1] "" for no operation, else JSON: {endpoint, from, to, paced, passed, ended = state or "",
--         at, reason, keep_ms}
-- ARGV[2] retention, ms   ARGV[3] now, Unix ms
-- ARGV[4] JSON list, one object per delivery: {id, place, due, states = {state = true, ...},
--         record = {field, value, ...} to be made where there is none}
--
-- Returns {-2} when another step was first; else one number per delivery: 1 it goes, 0 it is in none
-- of the states, -1 it or what it is about is gone.

local step = ARGV[1] ~= '' and cjson.decode(ARGV[1])
if step then
  local there = redis.call('HMGET', KEYS[1], 'cursor', 'state')
  if there[1] ~= step.from or there[2] ~= 'running' then
    return {-2}
  end
end

local function keep(key, ms)
  if redis.call('PTTL', key) >= 0 then
    redis.call('PEXPIRE', key, ms, 'GT')
  end
end

local answers, sent = {}, 0
for i, delivery in ipairs(cjson.decode(ARGV[4])) do
  -- Behind it, its attempts and what it is about.
  local at = 3 + 3 * i
  local record = KEYS[at]
  local state = redis.call('HGET', record, 'state')
  local answer = 1
  if redis.call('EXISTS', KEYS[at + 2]) == 0 or not (state or delivery.record) then
    answer = -1
  elseif state and not delivery.states[state] then
    answer = 0
  end
  if answer == 1 then
    local keep_ms = math.max(delivery.due - ARGV[3], 0) + ARGV[2]
    if state then
      local before = redis.call('HGET', record, 'attempts')
      redis.call('HSET', record, 'state', 'pending', 'earlier_attempts', before, 'reason', '',
        'due_unix_ms', string.format('%.0f', delivery.due))
      redis.call('ZREM', KEYS[5], delivery.place)
      keep(record, keep_ms)
      keep(KEYS[at + 1], keep_ms)
    else
      redis.call('HSET', record, unpack(delivery.record))
      redis.call('PEXPIRE', record, keep_ms)
      redis.call('ZADD', KEYS[4], 0, delivery.place)
    end
    keep(KEYS[at + 2], keep_ms)
    redis.call('ZADD', KEYS[3], string.format('%.0f', delivery.due), delivery.id)
    sent = sent + 1
  end
  answers[i] = answer
end

if step then
  redis.call('HSET', KEYS[1], 'cursor', step.to, 'paced_unix_ms', string.format('%.0f', step.paced))
  redis.call('HINCRBY', KEYS[1], 'sent', sent)
  redis.call('HINCRBY', KEYS[1], 'passed_over', step.passed + #answers - sent)
  if step.ended ~= '' then
    redis.call('HSET', KEYS[1], 'state', step.ended, 'finished_unix_ms', step.at,
      'reason', step.reason)
    redis.call('HDEL', KEYS[2], step.endpoint)
    redis.call('PEXPIRE', KEYS[1], step.keep_ms)
  end
end
return answers
