-- revalidate: invalidation from any client, version 1.
--
--   EVAL <this file> 1 rv:{NAMESPACE} KIND RANDOM TAG [TAG ..]
--
-- KIND is `hard` (never served again) or `soft` (served stale once more where an entry has a stale window).
-- RANDOM is 32 hexadecimal digits that your client draws anew for each call: a number made in here would repeat
-- after a restart. Each TAG is a tag as the application names it; `*` alone stands for everything.
-- Returns the id of the record in the log. With Cluster send it to the node of the slot of KEYS[1].
if redis.replicate_commands then redis.replicate_commands() end
if not string.match(KEYS[1] or '', '^rv:{[%w._-]+}$') then
  return redis.error_reply('ERR the key is rv:{NAMESPACE}, as rv:{revalidate}')
end
local kind, random = ARGV[1], ARGV[2]
if kind ~= 'hard' and kind ~= 'soft' then return redis.error_reply('ERR KIND is hard or soft') end
if #random ~= 32 or string.match(random, '[^0-9a-f]') then
  return redis.error_reply('ERR RANDOM is 32 hexadecimal digits, in lower case')
end
if #ARGV < 3 then return redis.error_reply('ERR no TAG was given') end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local names = {}
for i = 3, #ARGV do
  local name = ARGV[i] == '*' and '*' or '#' .. ARGV[i]
  names[#names + 1] = name
  redis.call('SET', KEYS[1] .. ':tag:' .. name, random, 'XX', 'KEEPTTL')
end
local data = cjson.encode({ [kind] = names })
local epoch = redis.sha1hex(run .. replication)
local log, holder = KEYS[1] .. ':log:' .. epoch, KEYS[1] .. ':holder'
-- Where the slot was another server's in between, this one's log lacks what was written there, and entries are here still
-- that were removed meanwhile.
if redis.call('GET', holder) ~= epoch then
  redis.call('DEL', log)
  redis.call('SET', KEYS[1] .. ':tag:*', random, 'XX', 'KEEPTTL')
  redis.call('SET', holder, epoch)
end
redis.call('PEXPIRE', holder, 86400000)
local id = redis.call('XADD', log, 'MAXLEN', '~', '100000', '*', 'v', '1', 'o', string.rep('0', 32), 'n', random, 'd', data)
redis.call('PEXPIRE', log, 86400000)
return id
