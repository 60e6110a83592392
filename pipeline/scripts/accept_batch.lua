#!lua
-- Accept a batch whose source is on the disk: its record, and that it is open.
--
-- KEYS[1] batch (hash)   KEYS[2] open batches (zset)   KEYS[3] the tenant's batches (zset)
-- KEYS[4] the bytes of the tenant's sources (hash)   KEYS[5] loads (hash)
-- KEYS[6] where the promise is kept (string), with one
-- ARGV[1] batch id   ARGV[2] accepted, Unix ms   ARGV[3] how many may be open at most
-- ARGV[4] bytes of its source   ARGV[5] how many the tenant's sources and waiting pictures may have
-- together, 0 for any   ARGV[6] the field of the loads that counts the pictures
-- ARGV[7] "" or the promise: what a repeated request is to be answered from
-- ARGV[8] how long the promise is kept, ms
-- ARGV[9..] its record: field, value, ...
--
-- Returns {1} when accepted, {0, 'open', how many} or {0, 'bytes', how many} when that would be too
-- much, {2, promise} when a promise was made under this key before. Safe to repeat after a lost
-- answer. Has no allow-oom flag on purpose: at its memory limit Redis refuses new work here.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return {1}
end
if ARGV[7] ~= '' then
  local earlier = redis.call('GET', KEYS[6])
  if earlier then
    return {2, earlier}
  end
end
local open = redis.call('ZCARD', KEYS[2])
if open >= tonumber(ARGV[3]) then
  return {0, 'open', open}
end
if tonumber(ARGV[5]) > 0 then
  local sum = math.max(0, tonumber(redis.call('HGET', KEYS[5], ARGV[6]) or '0'))
  for _, bytes in ipairs(redis.call('HVALS', KEYS[4])) do
    sum = sum + tonumber(bytes)
  end
  if sum + tonumber(ARGV[4]) > tonumber(ARGV[5]) then
    return {0, 'bytes', sum}
  end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 9))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[4])
if ARGV[7] ~= '' then
  redis.call('SET', KEYS[6], ARGV[7], 'PX', ARGV[8])
end
return {1}
