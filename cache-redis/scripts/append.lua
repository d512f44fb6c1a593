-- KEYS: log, its holder, record of the tag of everything, records of tags, places of keys. ARGV: replication id, id, nonce,
-- most, nonce of a first record, number of tags, length of the log, origin, nonce of the record, its data. Tokens are new where
-- there is a record.
local other = moved(ARGV[1])
if other then return other end
continued(KEYS[1], KEYS[2], KEYS[3], ARGV[5])
local tags = tonumber(ARGV[6])
for i = 4 + tags, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 4, 3 + tags do redis.call('SET', KEYS[i], ARGV[9], 'XX', 'KEEPTTL') end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[7], '*', 'v', '1', 'o', ARGV[8], 'n', ARGV[9], 'd', ARGV[10])
return { id, since(KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]) }
