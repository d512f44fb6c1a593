-- KEYS: log, its holder, record of the tag of everything. ARGV: replication id, id, nonce, most, nonce of a first record.
local other = moved(ARGV[1])
if other then return other end
continued(KEYS[1], KEYS[2], KEYS[3], ARGV[5])
return since(KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5])
