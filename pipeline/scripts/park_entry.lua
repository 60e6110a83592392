#!lua flags=allow-oom
-- Park an entry that nobody can read in the dead stream, with the reason.
--
-- KEYS[1] the stream it came from   KEYS[2] dead (stream)
-- ARGV[1] consumer group   ARGV[2] entry id   ARGV[3] reason
-- ARGV[4..] its fields, of which the first 2,000 are kept: Lua passes on only so many values at once
--
-- Returns 1, or 0 when somebody else acknowledged it first.

if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'from', KEYS[1], 'entry', ARGV[2], 'reason', ARGV[3],
  unpack(ARGV, 4, math.min(#ARGV, 4003)))
return 1
