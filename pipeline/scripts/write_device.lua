#!lua flags=allow-oom
-- Write what a device is like. As a script because Redis refuses HSET at its memory limit, where
-- every device would seem gone while it drains.
--
-- KEYS[1] devices (hash)   ARGV[1] field   ARGV[2] record as JSON text   ARGV[3] time to live, ms

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
