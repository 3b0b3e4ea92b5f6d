-- DEVICE.SHADOW.SET id json, as a script: merges a patch into the desired document.
--
-- KEYS  device:state:<id>  device:history:<id>  devices:outofsync  devices:events
-- ARGV  id  patch
-- ->    {version, delta or nil}

local state, history, outofsync, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, patch = ARGV[1], decode(ARGV[2])
if type(patch) ~= 'table' or patch[1] ~= nil then
    return redis.error_reply('BADJSON not an object')
end
local h = call('HMGET', state, 'version', 'desired_state', 'reported_state', 'delta', 'desired_meta')
if not h[1] then return redis.error_reply('NODEVICE ' .. id) end

local version, reported_text, had_delta = h[1] + 1, h[3] or '{}', h[4]
local desired = h[2] and decode(h[2]) or {}
local times = h[5] and unpack_times(h[5]) or {}
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local old, new = merge(desired, patch, times, now)
local desired_text = encode(desired)
if #desired_text + #reported_text > MAX_DOCUMENT_BYTES then
    return redis.error_reply('TOOLARGE ' .. id)
end
local delta = difference(desired, decode(reported_text))
local delta_text = delta and encode(delta)

if delta_text then
    call('HSET', state, 'version', version, 'desired_state', desired_text,
        'desired_meta', pack(times), 'delta', delta_text)
    if not had_delta then call('SADD', outofsync, id) end
else
    call('HSET', state, 'version', version, 'desired_state', desired_text,
        'desired_meta', pack(times))
    if had_delta then
        call('HDEL', state, 'delta')
        call('SREM', outofsync, id)
    end
end
if next(desired) == nil then call('HDEL', state, 'desired_state', 'desired_meta') end
if new then
    call('XADD', history, 'MAXLEN', '~', HISTORY_MAXLEN, '*', 'type', 'desired',
        'timestamp', now, 'version', version, 'old', encode(old), 'new', encode(new))
end
if delta_text or had_delta then
    tell_outstanding(events, id, now, version, delta_text, desired_text)
end
return {version, delta_text or false}
