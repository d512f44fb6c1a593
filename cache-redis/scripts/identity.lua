-- Returns who this server is, its role and its version.
local id, role = identity()
return { id, role, string.match(redis.call('INFO', 'server'), 'redis_version:([%d.]+)') or '' }
