-- A heartbeat that brings a device online, as a script: what DEVICE.HEARTBEAT does then, through the
-- same keys, stream and channel. It checks no types, follows no alerts and sends no notification.
--
-- KEYS  device:state:<id>  device:heartbeat:<id>
-- ARGV  id  default timeout in milliseconds
-- ->    {came_online, applied, version, delta or nil, commands}

local state, heartbeat, id = KEYS[1], KEYS[2], ARGV[1]
local h = redis.call('HMGET', state, 'version', 'last_seen', 'status', 'timeout', 'device_type',
    'delta', 'status_reason')
if not h[1] then return redis.error_reply('NODEVICE ' .. id) end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local timeout = tonumber(h[4] or ARGV[2])
local stamp = string.format('%.0f', now)
if h[3] == 'online' then
    redis.call('HSET', state, 'last_seen', stamp)
    return {0, 1, tonumber(h[1]), h[6], 0}
end
redis.call('XADD', 'devices:events', 'MAXLEN', '~', 1000000, '*', 'type', 'online', 'device_id', id,
    'timestamp', stamp, 'status', 'online', 'reason', 'heartbeat')
redis.call('HSET', state, 'status', 'online', 'last_seen', stamp, 'status_since', stamp)
if h[7] then redis.call('HDEL', state, 'status_reason') end
redis.call('ZREM', 'devices:offline', id)
redis.call('SADD', 'devices:online', id)
redis.call('SADD', 'devices:online:type:' .. h[5], id)
redis.call('SET', heartbeat, '1', 'PX', timeout + 86400000)
redis.call('PUBLISH', 'devices:presence', cjson.encode({type = 'presence', device_id = id,
    status = 'online', timestamp = now, reason = 'heartbeat'}))
return {1, 1, tonumber(h[1]), h[6], 0}
