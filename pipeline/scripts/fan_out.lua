#!lua flags=allow-oom
-- Fan an announced event out: one delivery for each subscriber, and the announcement is gone. The
-- entry is the gate: whoever removes it makes the deliveries, so a notifier that died before this
-- changes nothing, and one that comes late finds nothing to do.
--
-- KEYS[1] announcements (stream)   KEYS[2] deliveries (stream)
-- KEYS[3] what it is about: the job or the event (hash)
-- KEYS[4] the tenant's deliveries (zset)
-- KEYS[5..] for each delivery: its record (hash), the list of its order (or its record again)
-- ARGV[1] the entry   ARGV[2] retention, ms
-- ARGV[3] JSON list, one object per delivery:
--         {id, place, ordered = bool, record = {field, value, ...}, message = {field, value, ...}}
--
-- In an order only the first goes out; the others, and what they are about, live until their turn.
-- Returns how many deliveries were made or released, or -1 when the entry was gone.

if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then
  return -1
end
local deliveries = cjson.decode(ARGV[3])
for i, delivery in ipairs(deliveries) do
  local record, order = 3 + 2 * i, 4 + 2 * i
  if redis.call('EXISTS', KEYS[record]) == 0 then
    redis.call('HSET', KEYS[record], unpack(delivery.record))
    redis.call('PEXPIRE', KEYS[record], ARGV[2])
  elseif delivery.ordered then
    -- The job's last move has made it without knowing the order.
    redis.call('HSET', KEYS[record], unpack(delivery.record))
  end
  redis.call('ZADD', KEYS[4], 0, delivery.place)
  if delivery.ordered and redis.call('RPUSH', KEYS[order], delivery.id) > 1 then
    redis.call('HSET', KEYS[record], 'waits', '1')
    redis.call('PERSIST', KEYS[record])
    if redis.call('EXISTS', KEYS[3]) == 1 then
      redis.call('PERSIST', KEYS[3])
      redis.call('HINCRBY', KEYS[3], 'awaited', 1)
    end
  else
    redis.call('XADD', KEYS[2], '*', unpack(delivery.message))
  end
end
return #deliveries
