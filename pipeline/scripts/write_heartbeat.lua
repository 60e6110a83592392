#!lua flags=allow-oom
-- Write a sign of life. As a script because Redis refuses HSET at its memory limit, where every
-- service would seem dead while it drains.
--
-- KEYS[1] health (hash)   ARGV[1] field   ARGV[2] heartbeat as JSON text

return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
