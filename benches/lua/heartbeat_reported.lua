-- DEVICE.HEARTBEAT id REPORTED json of a device that is online and on time, as a script: proves
-- life and merges a patch into the reported document.
--
-- KEYS  device:state:<id>  device:history:<id>  devices:outofsync  devices:events
-- ARGV  id  patch  default timeout in milliseconds
-- ->    {came_online, applied, version, delta or nil, commands}

local state, history, outofsync, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, patch = ARGV[1], decode(ARGV[2])
if type(patch) ~= 'table' or patch[1] ~= nil then
    return redis.error_reply('BADJSON not an object')
end
local h = call('HMGET', state, 'version', 'last_seen', 'status', 'timeout',
    'desired_state', 'reported_state', 'delta', 'reported_meta')
if not h[1] or h[3] ~= 'online' then return redis.error_reply('ERR not steady') end
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local timeout = tonumber(h[4] or ARGV[3])
if timeout ~= 0 and now - tonumber(h[2]) >= timeout then return redis.error_reply('ERR late') end

local version, desired_text, had_delta = h[1] + 1, h[5] or '{}', h[7]
local reported = h[6] and decode(h[6]) or {}
local times = h[8] and unpack_times(h[8]) or {}

local old, new = merge(reported, patch, times, now)
local reported_text = encode(reported)
if #desired_text + #reported_text > MAX_DOCUMENT_BYTES then
    return redis.error_reply('TOOLARGE ' .. id)
end
local delta = difference(decode(desired_text), reported)
local delta_text = delta and encode(delta)
-- The same delta may be written in another order.
local delta_changed = delta_text ~= (had_delta or nil)
    and not (delta and had_delta and same(delta, decode(had_delta)))

if delta_text and delta_text ~= had_delta then
    call('HSET', state, 'last_seen', now, 'version', version, 'reported_state', reported_text,
        'reported_meta', pack(times), 'delta', delta_text)
else
    call('HSET', state, 'last_seen', now, 'version', version, 'reported_state', reported_text,
        'reported_meta', pack(times))
end
if delta_changed then
    if not delta then
        call('HDEL', state, 'delta')
        call('SREM', outofsync, id)
    elseif not had_delta then
        call('SADD', outofsync, id)
    end
end
if new then
    call('XADD', history, 'MAXLEN', '~', HISTORY_MAXLEN, '*', 'type', 'reported',
        'timestamp', now, 'version', version, 'old', encode(old), 'new', encode(new))
    call('PUBLISH', 'devices:status', '{"type":"status","device_id":' .. encode(id)
        .. ',"version":' .. version .. ',"reported":' .. ARGV[2] .. ',"timestamp":' .. now .. '}')
end
if delta_changed then
    tell_outstanding(events, id, now, version, delta_text, desired_text)
end
return {0, 1, version, delta_text or false, 0}
