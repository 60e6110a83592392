#!lua flags=allow-oom
-- Renew the leases of claimed entries that are still this consumer's.
-- XCLAIM alone would also take back what another consumer has taken over meanwhile.
--
-- KEYS[1] stream
-- ARGV[1] consumer group   ARGV[2] consumer   ARGV[3..] entry ids
--
-- Returns how many leases were renewed.

local renewed = 0
for i = 3, #ARGV do
  local id = ARGV[i]
  -- As pcall: where the stream was removed under the reader, nothing is its own any more.
  if #redis.pcall('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
    renewed = renewed + 1
  end
end
return renewed
