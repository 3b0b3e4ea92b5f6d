-- What both scripts share: the merge, the delta, and telling what is outstanding. A script has no
-- way to load another one, so the bench puts this text before theirs.
--
-- Stored beside the fields of the plain recipe: `delta`, there only while something is outstanding,
-- and `desired_meta` and `reported_meta`, the time of each leaf as a tree of the document's shape in
-- MessagePack: a third of JSON's size, and several times as fast to read and write.
--
-- What it does not do, and the module does: empty arrays (cjson reads `[]` as `{}`), whole numbers
-- above 2^53, and refusing duplicate keys, rounded numbers, nulls in arrays and deep nesting.

local call, null, type, pairs, next = redis.call, cjson.null, type, pairs, next
local decode, encode = cjson.decode, cjson.encode
local pack, unpack_times = cmsgpack.pack, cmsgpack.unpack

local MAX_DOCUMENT_BYTES = 65536
local HISTORY_MAXLEN = 16
local EVENTS_MAXLEN = 1000000
local EVENT_JSON_BYTES = 1024

-- Whether two values are equal all the way down. Scalars differ here only if `==` says so.
local function same(a, b)
    if a == b then return true end
    if type(a) ~= 'table' or type(b) ~= 'table' then return false end
    for key, value in pairs(a) do
        if not same(value, b[key]) then return false end
    end
    for key in pairs(b) do
        if a[key] == nil then return false end
    end
    return true
end

-- A new subtree without its nulls; nil when there was nothing else in it.
local function without_nulls(value)
    if value == null then return nil end
    if type(value) ~= 'table' or next(value) == nil or value[1] ~= nil then return value end
    local left = {}
    for key, inner in pairs(value) do left[key] = without_nulls(inner) end
    return next(left) ~= nil and left or nil
end

-- The times of a new value: one for a scalar or an array, a table for an object.
local function stamped(value, now)
    if type(value) ~= 'table' or value[1] ~= nil then return now end
    local times = {}
    for key, inner in pairs(value) do times[key] = stamped(inner, now) end
    return times
end

-- Merges a patch into a document and its times. Returns two patches, the one that takes the change
-- back and the one that repeats it; nil when nothing changed.
local function merge(document, patch, times, now)
    local old, new
    for key, value in pairs(patch) do
        local had = document[key]
        local was, is
        if value == null then
            if had ~= nil then
                document[key], times[key] = nil, nil
                was, is = had, null
            end
        elseif type(value) == 'table' and type(had) == 'table' and value[1] == nil and had[1] == nil then
            was, is = merge(had, value, times[key], now)
        else
            value = without_nulls(value)
            if value ~= nil then
                times[key] = stamped(value, now)
                if not same(had, value) then
                    document[key] = value
                    was, is = had, value
                    if had == nil then was = null end
                end
            end
        end
        if is ~= nil then
            if not old then old, new = {}, {} end
            old[key], new[key] = was, is
        end
    end
    return old, new
end

-- What of `desired` is missing in `reported` or different there; nil when nothing is.
local function difference(desired, reported)
    local delta
    for key, want in pairs(desired) do
        local have = reported[key]
        if want ~= have then
            local left = want
            if type(want) == 'table' and type(have) == 'table' then
                if want[1] == nil and have[1] == nil then
                    left = difference(want, have)
                elseif same(want, have) then
                    left = nil
                end
            end
            if left ~= nil then
                delta = delta or {}
                delta[key] = left
            end
        end
    end
    return delta
end

-- An entry in the stream of events, and, when something is outstanding, a message to the device.
local function tell_outstanding(events, id, now, version, delta, desired)
    local left = delta or '{}'
    if #left <= EVENT_JSON_BYTES and #desired <= EVENT_JSON_BYTES then
        call('XADD', events, 'MAXLEN', '~', EVENTS_MAXLEN, '*', 'type', 'delta', 'device_id', id,
            'timestamp', now, 'version', version, 'delta', left, 'desired_state', desired)
    else
        local small = {}
        if #left <= EVENT_JSON_BYTES then small = {'delta', left} end
        if #desired <= EVENT_JSON_BYTES then small = {'desired_state', desired} end
        call('XADD', events, 'MAXLEN', '~', EVENTS_MAXLEN, '*', 'type', 'delta', 'device_id', id,
            'timestamp', now, 'version', version, unpack(small))
    end
    if delta then
        call('PUBLISH', 'device:' .. id .. ':commands',
            '{"type":"state_update","device_id":' .. encode(id) .. ',"desired_state":' .. desired
            .. ',"delta":' .. delta .. ',"version":' .. version .. ',"timestamp":' .. now .. '}')
    end
end
