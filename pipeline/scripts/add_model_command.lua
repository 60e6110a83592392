#!lua
-- Give the dispatchers a command about a model, and note what shall stay unloaded.
--
-- KEYS[1] model-commands (stream)   KEYS[2] the command's record (hash)   KEYS[3] models-unloaded (hash)
-- ARGV[1] how many commands are kept   ARGV[2] how long the record stays, ms
-- ARGV[3] load, unload or reload   ARGV[4] name, or name/version
-- ARGV[5] who asked   ARGV[6..] field, value, ... of record and entry

redis.call('HSET', KEYS[2], unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if ARGV[3] == 'unload' then
  redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
elseif ARGV[3] == 'load' then
  redis.call('HDEL', KEYS[3], ARGV[4])
end
return redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', unpack(ARGV, 6))
