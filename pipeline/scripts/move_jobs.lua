#!lua flags=allow-oom
-- Move jobs to their next state, each atomically with everything that follows from it: the entry
-- that caused the move is acknowledged, the next hop's entry is added, and a terminal state creates
-- its deliveries. A crash leaves either all of it or none.
--
-- KEYS[1] counts (hash)   KEYS[2] deadlines (zset)   KEYS[3] deliveries (stream)
-- KEYS[4..] whatever the moves refer to by index
-- ARGV[1] channel that announces ended jobs   ARGV[2] retention of ended jobs, ms
-- ARGV[3] JSON list of moves:
--   id         the job's id
--   record     index of the job's record
--   expected   {state = true, ...}: the states it may be in
--   attempt    "" or the attempt that the mover speaks for
--   to         the new state
--   set        {field, value, ...} written into the record, may be empty
--   ack        absent, or {stream = index, group = name, entry = id}
--   add        absent, or {stream = index, message = {field, value, ...}}
--   terminal   true when nothing can follow
--   deliveries list of {key = index, id = delivery id, record = {field, value, ...},
--              message = {field, value, ...}}, for terminal moves
--
-- Returns one number per move: 1 moved, 0 refused (another mover was first, or the job is gone).
-- The caller's arguments are checked before the first write, because Lua has no roll-back.

local moves = cjson.decode(ARGV[3])

local function acknowledge(ack)
  local stream = KEYS[ack.stream]
  if redis.call('XACK', stream, ack.group, ack.entry) == 1 then
    redis.call('XDEL', stream, ack.entry)
  end
end

local function finish(move)
  redis.call('ZREM', KEYS[2], move.id)
  redis.call('PEXPIRE', KEYS[move.record], ARGV[2])
  for _, delivery in ipairs(move.deliveries) do
    local key = KEYS[delivery.key]
    redis.call('HSET', key, unpack(delivery.record))
    redis.call('PEXPIRE', key, ARGV[2])
    redis.call('XADD', KEYS[3], '*', unpack(delivery.message))
  end
  redis.call('PUBLISH', ARGV[1], move.id)
end

local answers = {}
for i, move in ipairs(moves) do
  local record = KEYS[move.record]
  local old = redis.call('HMGET', record, 'state', 'attempt')
  local state, attempt = old[1], old[2]
  if state and move.expected[state] and (move.attempt == '' or move.attempt == attempt) then
    redis.call('HSET', record, 'state', move.to, unpack(move.set))
    redis.call('HINCRBY', KEYS[1], state, -1)
    redis.call('HINCRBY', KEYS[1], move.to, 1)
    if move.add then
      redis.call('XADD', KEYS[move.add.stream], '*', unpack(move.add.message))
    end
    if move.terminal then
      finish(move)
    end
    if move.ack then
      acknowledge(move.ack)
    end
    answers[i] = 1
  else
    -- A newer attempt owns the entry of a job that is still running: leave it. In every other case
    -- the entry has done its work.
    if move.ack and not (state == 'running' and move.attempt ~= attempt) then
      acknowledge(move.ack)
    end
    answers[i] = 0
  end
end
return answers
