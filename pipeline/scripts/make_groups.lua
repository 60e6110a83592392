#!lua flags=allow-oom
-- Make a consumer group on each stream, from its beginning; existing ones stay as they are.
-- As a script because Redis refuses XGROUP CREATE at its memory limit even where the group exists:
-- a reader restarted there could not go on draining.
--
-- KEYS[1..] streams   ARGV[1] consumer group
--
-- Returns 1, or the first error that is not "exists already".

for i = 1, #KEYS do
  local made = redis.pcall('XGROUP', 'CREATE', KEYS[i], ARGV[1], '0', 'MKSTREAM')
  if made.err and not made.err:find('BUSYGROUP', 1, true) then
    return made
  end
end
return 1
