-- A raise that does what ALERT.RAISE does while an alert is suppressed, and tells a first one through
-- the same keys, stream and channel. KEYS: the device's id. ARGV: alert, severity, every, user.
local id, alert = KEYS[1], ARGV[1]
local severity, every = tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key = 'device:alerts:' .. id
local stored = redis.call('HGET', key, alert)
local record
if stored then
  record = cjson.decode(stored)
else
  if redis.call('EXISTS', 'device:state:' .. id) == 0 then
    return redis.error_reply('NODEVICE device ' .. id .. ' is not registered')
  end
  record = {state = 'cleared', severity = 0, count = 0, first = now, since = now}
end
record.count = record.count + 1
record.last = now
record.every = every
if record.state ~= 'firing' then
  record.state, record.severity, record.since = 'firing', severity, now
elseif severity > record.severity then
  record.severity = severity
end
local outcome
if not record.told then
  outcome = 'new'
elseif record.severity > record.told.severity then
  outcome = 'escalated'
elseif now - record.told.at < every then
  outcome = 'suppressed'
else
  outcome = 'repeat'
end
if outcome ~= 'suppressed' then
  record.told = {at = now, severity = record.severity, firing = true, wait = 0}
  record.users = {ARGV[4]}
  redis.call('XADD', 'devices:events', 'MAXLEN', '~', 1000000, '*', 'type', 'alert', 'device_id', id,
    'timestamp', now, 'alert', alert, 'severity', record.severity, 'state', 'firing', 'count', record.count)
  local item = {state = 'firing', severity = record.severity, count = record.count, first = now, last = now}
  redis.call('HSET', 'alerts:user:' .. ARGV[4], 'pending:' .. id .. ' ' .. alert, cjson.encode(item), 'due', now, 'wait', 0)
  redis.call('ZADD', 'alerts:due', now, ARGV[4])
  redis.call('PUBLISH', 'devices:alerts', cjson.encode({type = 'alert', device_id = id, alert = alert,
    severity = record.severity, state = 'firing', count = record.count, timestamp = now}))
end
redis.call('HSET', key, alert, cjson.encode(record))
return {outcome, record.count}
