-- A steady heartbeat as a script: reads what DEVICE.HEARTBEAT reads, decides by the server's clock
-- whether the device is online and on time, writes last_seen and answers the same reply. It says so
-- where the device is not; what a script does then is in come_online.lua.
--
-- KEYS  device:state:<id>
-- ARGV  default timeout in milliseconds
-- ->    {came_online, applied, version, delta or nil, commands}
local h = redis.call('HMGET', KEYS[1], 'version', 'last_seen', 'status', 'timeout')
if not h[1] or h[3] ~= 'online' then return redis.error_reply('ERR not steady') end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local timeout = tonumber(h[4] or ARGV[1])
if timeout ~= 0 and now - tonumber(h[2]) >= timeout then return redis.error_reply('ERR late') end
redis.call('HSET', KEYS[1], 'last_seen', string.format('%.0f', now))
return {0, 1, tonumber(h[1]), false, 0}
