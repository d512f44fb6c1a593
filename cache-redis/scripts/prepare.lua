-- KEYS: log, its holder, record of the tag of everything, records of tags. ARGV: replication id, id, nonce, most, nonce
-- of a first record, token of new records, milliseconds that all are to last.
local other = moved(ARGV[1])
if other then return other end
continued(KEYS[1], KEYS[2], KEYS[3], ARGV[5])
local tokens = {}
for i = 4, #KEYS do
  local token = redis.call('GET', KEYS[i])
  if not token then
    token = ARGV[6]
    redis.call('SET', KEYS[i], token, 'PX', ARGV[7])
  elseif redis.call('PTTL', KEYS[i]) < tonumber(ARGV[7]) then
    redis.call('PEXPIRE', KEYS[i], ARGV[7])
  end
  tokens[i - 3] = token
end
return { tokens, since(KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]) }
