#!lua flags=allow-oom
-- Claim new entries of a model's infer streams, of each as many as its share is.
--
-- KEYS[1] the set of the model's streams   KEYS[2..] streams
-- ARGV[1] consumer group   ARGV[2] consumer
-- ARGV[3..] for each stream: its name in the set, how many to claim at most
--
-- Returns the members of the set, then for each stream a list of {entry id, {field, value, ...}}. A
-- stream in which nothing is left, claimed or not, leaves the set: whoever adds the next entry puts
-- it back.

local answers = {{}}
for i = 2, #KEYS do
  local member, count = ARGV[2 * i - 1], ARGV[2 * i]
  local read = function()
    return redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', count,
      'STREAMS', KEYS[i], '>')
  end
  local rows = {}
  if redis.call('XLEN', KEYS[i]) == 0 then
    redis.call('SREM', KEYS[1], member)
  elseif tonumber(count) > 0 then
    local found = read()
    if found and found.err and found.err:find('NOGROUP', 1, true) then
      redis.pcall('XGROUP', 'CREATE', KEYS[i], ARGV[1], '0')
      found = read()
    end
    if found and found.err then
      return found
    end
    rows = found and found[1][2] or {}
  end
  answers[i] = rows
end
answers[1] = redis.call('SMEMBERS', KEYS[1])
return answers
