-- Common to all that show the log; each begins with it. Effects are replicated, not scripts, also by 6.2.
if redis.replicate_commands then redis.replicate_commands() end

-- Who this server is: another after a restart, a failover or a failback.
local function identity()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replication = redis.call('INFO', 'replication')
  local id = string.match(replication, 'master_replid:(%x+)')
  return redis.sha1hex(run .. id), string.match(replication, 'role:(%a+)')
end

local function field(record, name)
  for i = 1, #record, 2 do
    if record[i] == name then return record[i + 1] end
  end
end

-- The records after that one, or the last one where it is not in the log. An empty log is given a first one.
local function since(log, id, nonce, most, first)
  redis.call('PEXPIRE', log, 86400000)
  if id ~= '' then
    local found = redis.call('XRANGE', log, id, '+', 'COUNT', most + 2)
    if #found > 0 and found[1][1] == id and field(found[1][2], 'n') == nonce then
      table.remove(found, 1)
      local more = #found > most
      if more then table.remove(found) end
      return { 1, more and 1 or 0, found }
    end
  end
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
  if #last == 0 then
    local begun = redis.call('XADD', log, '*', 'v', '1', 'n', first)
    redis.call('PEXPIRE', log, 86400000)
    return { 0, begun, first }
  end
  return { 0, last[1][1], field(last[1][2], 'n') or '' }
end

local function moved(epoch)
  local id, role = identity()
  if role ~= 'master' then return redis.error_reply('MOVEDON this server is a ' .. role) end
  if id ~= epoch then return redis.error_reply('MOVEDON this server is ' .. id) end
end

-- Where the slot was another server's in between, this one's log lacks what was written there.
local function continued(log, holder, epoch)
  if redis.call('GET', holder) ~= epoch then
    redis.call('DEL', log)
    redis.call('SET', holder, epoch)
  end
  redis.call('PEXPIRE', holder, 86400000)
end
