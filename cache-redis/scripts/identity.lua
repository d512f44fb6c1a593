-- Returns who this server is (another after a restart, a failover or a failback), what of that is asked for again with
-- each look at the log, its role and its version.
local server = redis.call('INFO', 'server')
local id, role = replication()
local epoch = redis.sha1hex(string.match(server, 'run_id:(%x+)') .. id)
return { epoch, id, role, string.match(server, 'redis_version:([%d.]+)') or '' }
