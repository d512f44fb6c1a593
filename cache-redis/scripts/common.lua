-- Common to all that show the log; each begins with it. Effects are replicated, not scripts, also by 6.2.
if redis.replicate_commands then redis.replicate_commands() end

-- The part of who this server is that can change while a connection to it lasts, and its role. Its run id cannot, and
-- what a proxy puts in its place without ending the connection has another replication id as well: a master draws one
-- when it starts, and a replica when it takes over.
local function replication()
  local told = redis.call('INFO', 'replication')
  return string.match(told, 'master_replid:(%x+)'), string.match(told, 'role:(%a+)')
end

-- The nonce of a record; zeros where it has none that nodes read, so that it is a position all the same.
local function nonce_of(record)
  local nonce = ''
  for i = #record - 1, 1, -2 do
    if record[i] == 'n' then nonce = record[i + 1] end
  end
  if #nonce == 32 and not string.match(nonce, '[^0-9a-f]') then return nonce end
  return string.rep('0', 32)
end

-- The records after that one, as many as one answer takes, or the last one where it is not in the log. An empty
-- log is given a first one.
local function since(log, id, nonce, most, first)
  redis.call('PEXPIRE', log, 86400000)
  if id ~= '' then
    local found = redis.call('XRANGE', log, id, '+', 'COUNT', most + 2)
    if #found > 0 and found[1][1] == id and nonce_of(found[1][2]) == nonce then
      local after, bytes = {}, 0
      for i = 2, math.min(#found, most + 1) do
        local fields = found[i][2]
        for j = 1, #fields do bytes = bytes + #fields[j] end
        -- One at least, however large: else a node stands there for ever.
        if bytes > 1048576 and i > 2 then break end
        after[i - 1] = found[i]
      end
      return { 1, #after + 1 < #found and 1 or 0, after }
    end
  end
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  if #last == 0 then
    local begun = redis.call('XADD', log, '*', 'v', '1', 'n', first)
    redis.call('PEXPIRE', log, 86400000)
    return { 0, begun, first }
  end
  return { 0, last[1][1], nonce_of(last[1][2]) }
end

-- Whether this is no longer the master that was connected to.
local function moved(before)
  local id, role = replication()
  if role ~= 'master' then return redis.error_reply('MOVEDON this server is a ' .. role) end
  if id ~= before then return redis.error_reply('MOVEDON this server replicates as ' .. id .. ' by now') end
end

-- Where the slot was another server's in between, this one's log lacks what was written there, and its entries are there
-- still that were removed meanwhile: so the tag that all have gets a new token. A log's name ends in its epoch, 40 digits.
local function continued(log, holder, all, token)
  local epoch = string.sub(log, -40)
  if redis.call('GET', holder) ~= epoch then
    redis.call('DEL', log)
    redis.call('SET', all, token, 'XX', 'KEEPTTL')
    redis.call('SET', holder, epoch)
  end
  redis.call('PEXPIRE', holder, 86400000)
end
