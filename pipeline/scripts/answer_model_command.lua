#!lua flags=allow-oom
-- Note what became of a command at one dispatcher, if the command is still remembered.
--
-- KEYS[1] the command's record (hash)   ARGV[1] field of the dispatcher   ARGV[2] answer as JSON text
--
-- Returns 1 when noted.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
