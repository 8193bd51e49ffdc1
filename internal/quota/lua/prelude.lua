-- Runs before each of the scripts: reads the state, repairs it and counts the hosts. Instants and
-- lengths are microseconds, by the clock of the server.
local SILENT = 800000 -- a host that was not heard from for so long may be sending by itself
local GONE = 35000000 -- and after so long it does not any more
local LEARN = 2000000 -- how long hosts take to come back to a server that lost the state
local JUMP = 1000000  -- a clock that goes back by more was set
local LEAST = 200000  -- the horizon at least
local LINE = 1.25     -- slots are granted ahead for so many horizons

local state, heard, joined, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local info, permits, hungry = KEYS[5], KEYS[6], KEYS[7]
local news = state .. ':news'

-- Who calls, and what it knows. A caller without an id is no host.
local id, knownHosts, booked = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function text(x) return string.format('%.0f', x) end
local function number(x) return tonumber(x or 0) or 0 end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local s = redis.call('HMGET', state, 'epoch', 'at', 'tat', 'pause', 'pauses', 'source',
  'version', 'rate', 'burst', 'inflight', 'learn', 'hosts')
local epoch, at, tat = s[1] or '', number(s[2]), number(s[3])
local pause, pauses, source = number(s[4]), number(s[5]), s[6] or ''
local version, rate, burst, inflight = number(s[7]), number(s[8]), number(s[9]), number(s[10])
local learn, learned = number(s[11]), number(s[12])

local lost = epoch == ''
if lost then
  epoch, learn, learned = text(now), now + LEARN, 0
end
local back = at - now
if back > JUMP then
  tat, pause, learn = tat - back, pause - back, learn - back
  redis.call('DEL', joined)
  redis.call('ZREMRANGEBYSCORE', heard, text(now + JUMP), '+inf')
  redis.call('ZREMRANGEBYSCORE', hungry, text(now + JUMP), '+inf')
end

-- What the server has lost, the hosts still know. Versions are instants, so the latest wins.
if tonumber(ARGV[4]) > pauses then
  pauses, pause, source = tonumber(ARGV[4]), now + tonumber(ARGV[5]), ARGV[6]
end
if tonumber(ARGV[7]) > version then
  version, rate = tonumber(ARGV[7]), tonumber(ARGV[8])
  burst, inflight = tonumber(ARGV[9]), tonumber(ARGV[10])
end
local arg = 10 -- those that follow are the script's own

local function remove(host)
  redis.call('ZREM', heard, host)
  redis.call('ZREM', joined, host)
  redis.call('ZREM', hungry, host)
  redis.call('HDEL', ends, host)
  redis.call('HDEL', info, host)
end

for _, host in ipairs(redis.call('ZRANGEBYSCORE', heard, '-inf', text(now - GONE))) do
  remove(host)
end
if id ~= '' then
  redis.call('ZADD', heard, text(now), id)
  redis.call('ZADD', joined, 'NX', text(now), id)
end

-- A host that is silent keeps its share, which it may be using by itself. In a horizon each host
-- may have two slots at least: one in use, and one for later.
local hosts, active, horizon
local function count()
  hosts = math.max(redis.call('ZCARD', heard), 1)
  active = math.max(redis.call('ZCOUNT', heard, text(now - SILENT), '+inf'), 1)
  if now < learn then
    learned = math.max(learned, knownHosts)
    hosts = math.max(hosts, learned)
  end
  horizon = LEAST
  if rate > 0 then
    horizon = math.max(horizon, 2000000 * hosts / rate)
  end
end
count()

-- The slots that were granted before are not known, but none is later than the line is long.
if lost or (booked > tat and booked <= now + 2 * horizon) then
  tat = now + LINE * horizon
end

local function number_text(x) return string.format('%.17g', x) end

-- answer stores the state and returns what every caller is told, with the values given.
local function answer(...)
  redis.call('HSET', state, 'epoch', epoch, 'at', text(now), 'tat', text(tat),
    'pause', text(pause), 'pauses', text(pauses), 'source', source,
    'version', text(version), 'rate', number_text(rate), 'burst', text(burst),
    'inflight', text(inflight), 'learn', text(learn), 'hosts', text(learned))
  for _, key in ipairs({heard, joined, ends, info, permits, hungry}) do
    redis.call('PEXPIRE', key, 3600000)
  end
  local rank = id ~= '' and redis.call('ZRANK', joined, id) or 0
  return {epoch, text(now), text(hosts), text(active), text(rank),
    text(math.max(pause - now, 0)), text(pauses), source,
    text(version), number_text(rate), text(burst), text(inflight), ...}
end
