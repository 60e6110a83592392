#!lua flags=allow-oom
-- Park an announcement that nobody can read in the dead stream, with the reason.
--
-- KEYS[1] announcements (stream)   KEYS[2] dead (stream)
-- ARGV[1] entry id   ARGV[2] reason   ARGV[3..] its fields
--
-- Returns 1, or 0 when it is gone already.

if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('XADD', KEYS[2], '*', 'from', KEYS[1], 'entry', ARGV[1], 'reason', ARGV[2],
  unpack(ARGV, 3, math.min(#ARGV, 4002)))
return 1
