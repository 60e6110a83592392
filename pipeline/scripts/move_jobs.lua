#!lua flags=allow-oom
-- Move jobs to their next state, each atomically with everything that follows from it: the entry
-- that caused the move is acknowledged, the next hop's entry is added, and a terminal state creates
-- its deliveries. A crash leaves either all of it or none.
--
-- KEYS[1] counts (hash)   KEYS[2] deadlines (zset)   KEYS[3] deliveries (stream)
-- KEYS[4] loads (hash)
-- KEYS[5..] whatever the moves refer to by index
-- ARGV[1] channel that announces ended jobs
-- ARGV[2] JSON list of moves:
--   id         the job's id
--   record     index of the job's record
--   expected   {state = true, ...}: the states it may be in
--   attempt    "" or the attempt that the mover speaks for
--   to         the new state
--   set        {field, value, ...} written into the record, may be empty
--   ack        absent, or {stream = index, group = name, entry = id}
--   add        absent, or {stream = index, message = {field, value, ...}}; into an infer stream also
--              {waiting = index of the set of its model's streams, member = its name in that set,
--              bell = index of its model's bell}
--   unload     absent, or {load, by, ...}: what changes when the job leaves the device's side
--   terminal   true when nothing can follow
--   keep_ms    how long the record outlives the end
--   batch      absent, or index of the record (hash) of the batch that it is an item of
--   log        for terminal moves: index of the tenant's events (stream)
--   told       absent, or index of the tenant's deliveries (zset)
--   deliveries list of {key = index, id = delivery id, record = {field, value, ...}, place,
--              message = {field, value, ...}}, for terminal moves; without a message the delivery
--              waits to be fanned out with the announcement
--   announce   absent, or {stream = index, subscribed = index, always = bool,
--              message = {field, value, ...}}: added where the tenant has subscribed endpoints
--
-- Returns one number per move: 1 moved, 0 refused (another mover was first, or the job is gone).
-- The caller's arguments are checked before the first write, because Lua has no roll-back.

local moves = cjson.decode(ARGV[2])

local function acknowledge(ack)
  local stream = KEYS[ack.stream]
  if redis.call('XACK', stream, ack.group, ack.entry) == 1 then
    redis.call('XDEL', stream, ack.entry)
  end
end

local function unload(loads)
  for i = 1, #loads, 2 do
    if redis.call('HINCRBY', KEYS[4], loads[i], loads[i + 1]) <= 0 then
      redis.call('HDEL', KEYS[4], loads[i])
    end
  end
end

local function finish(move)
  redis.call('ZREM', KEYS[2], move.id)
  redis.call('PEXPIRE', KEYS[move.record], move.keep_ms)
  redis.call('XADD', KEYS[move.log], '*', 'job', move.id, 'event', move.to)
  if move.batch and redis.call('EXISTS', KEYS[move.batch]) == 1 then
    redis.call('HINCRBY', KEYS[move.batch], move.to, 1)
  end
  for _, delivery in ipairs(move.deliveries) do
    local key = KEYS[delivery.key]
    redis.call('HSET', key, unpack(delivery.record))
    redis.call('PEXPIRE', key, move.keep_ms)
    redis.call('ZADD', KEYS[move.told], 0, delivery.place)
    if delivery.message then
      redis.call('XADD', KEYS[3], '*', unpack(delivery.message))
    end
  end
  local announce = move.announce
  if announce and (announce.always or redis.call('EXISTS', KEYS[announce.subscribed]) == 1) then
    redis.call('XADD', KEYS[announce.stream], '*', unpack(announce.message))
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
      if move.add.bell then
        redis.call('SADD', KEYS[move.add.waiting], move.add.member)
        redis.call('XADD', KEYS[move.add.bell], 'MAXLEN', 1, '*', 'work', 1)
      end
    end
    if move.unload and (state == 'queued' or state == 'running') then
      unload(move.unload)
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
