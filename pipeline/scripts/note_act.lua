#!lua flags=allow-oom
-- Note an administrative act. As a script because Redis refuses XADD at its memory limit, where what
-- an operator does to free it is worth knowing most.
--
-- KEYS[1] audit (stream)   ARGV[1] how many lines are kept, roughly   ARGV[2..] field, value, ...
--
-- Returns the line's id.

return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 2))
