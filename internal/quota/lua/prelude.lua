-- Runs before each of the scripts: reads the state, repairs it and counts the hosts. Instants and
-- lengths are microseconds, by the clock of the server.
local SILENT = 600000 -- a host that was not heard from for so long may be sending by itself
local GONE = 35000000 -- and after so long it does not any more
local LEARN = 2000000 -- how long hosts take to come back to a server that lost the state
local LIFE = 10000000 -- of permits that are not renewed
local JUMP = 1000000  -- a clock that differs by more was set
local LEAST = 200000  -- the horizon at least
local LINE = 1.25     -- slots are granted ahead for so many horizons

local state, heard, joined, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local info, permits, hungry, beats = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local news = state .. ':news'

-- The caller, and what it knows: how many hosts there are, 0 if it is new; of which epoch that is;
-- the latest instant that it was told, and the instant that it takes this one for. A caller without
-- an id is no host.
local id, knownHosts, knownEpoch = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local seen, estimate = tonumber(ARGV[4]), tonumber(ARGV[5])
local knownPauses, knownVersion = tonumber(ARGV[6]), tonumber(ARGV[9])
local arg = 15 -- those that follow are the script's own

local function text(x) return string.format('%.0f', x) end
local function exact(x) return string.format('%.17g', x) end
local function number(x) return tonumber(x or 0) or 0 end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local s = redis.call('HMGET', state, 'epoch', 'at', 'tat', 'pause', 'pauses', 'source',
  'version', 'rate', 'burst', 'inflight', 'givenrate', 'givenburst', 'giveninflight', 'opened',
  'since', 'hosts', 'came')
local epoch, at, tat = s[1] or '', number(s[2]), number(s[3])
local pause, pauses, source = number(s[4]), number(s[5]), s[6] or ''
-- The settings in force, and what hosts have given, of which they are made unless people set others.
local version, rate, burst, inflight = number(s[7]), number(s[8]), number(s[9]), number(s[10])
local givenRate, givenBurst, givenInflight = number(s[11]), number(s[12]), number(s[13])
local opened = s[14] or '' -- the epoch in which a new host settled all settings
-- Since the state was lost: when that was, how many hosts there were, and how many have come.
local since, learned, came = number(s[15]), number(s[16]), number(s[17])

local current = knownEpoch ~= '' and knownEpoch == epoch
local lost = epoch == ''
local older = current and seen > at -- of a server that has taken over
local step = 0 -- by how much the clock was set
if not lost and at - now > JUMP then
  step = now - at
elseif current and estimate > 0 and math.abs(now - estimate) > JUMP then
  step = now - estimate
end
if lost or older or step ~= 0 then
  epoch = text(now)
end
if step ~= 0 then -- what is left of each length is not known, so all begin anew
  if pause > 0 then pause = pause + step end
  if since > 0 then since = since + step end
  for i, host in ipairs(redis.call('ZRANGE', joined, 0, -1)) do
    redis.call('ZADD', joined, i, host)
    redis.call('ZADD', heard, 'XX', text(now), host)
  end
  local all = redis.call('HGETALL', permits)
  for i = 1, #all, 2 do
    local permit = string.match(all[i + 1], '^%d+ %d+ ') or ''
    redis.call('HSET', permits, all[i], permit .. text(now + LIFE))
  end
  redis.call('DEL', hungry, ends)
end
if lost or older or step ~= 0 then
  learned = now - since < GONE and learned + came or 0
  learned, came = math.max(learned, redis.call('ZCARD', heard)), 0
end
if lost or older or step > 0 then -- what expires may be gone when the clock was set forward
  since = now
  redis.call('DEL', beats)
end

-- What the server has lost, the hosts still know. Of two versions the greater one wins.
if knownPauses > pauses then
  pauses, pause, source = knownPauses, now + tonumber(ARGV[7]), ARGV[8]
end
local before = knownEpoch ~= '' and knownEpoch ~= epoch -- the caller was there before
if knownVersion > version or
    before and opened == epoch and knownVersion > 0 and knownVersion == version then
  version, opened = knownVersion, ''
  rate, burst, inflight = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
  givenRate, givenBurst = tonumber(ARGV[13]), tonumber(ARGV[14])
  givenInflight = tonumber(ARGV[15])
end

local function remove(host)
  redis.call('ZREM', heard, host)
  redis.call('ZREM', joined, host)
  redis.call('ZREM', hungry, host)
  redis.call('HDEL', ends, host)
  redis.call('HDEL', info, host)
  redis.call('HDEL', beats, host)
end

local learning = now - since < GONE
if before then
  learned = math.max(learned, knownHosts)
end
if id ~= '' then -- of callers that are no hosts none may know that the clock was set
  for _, host in ipairs(redis.call('ZRANGEBYSCORE', heard, '-inf', text(now - GONE))) do
    remove(host)
  end
  if redis.call('ZADD', heard, text(now), id) == 1 and knownHosts == 0 and learning then
    came = came + 1
  end
  redis.call('ZADD', joined, 'NX', text(now), id)
end

-- A host that is silent keeps its share, which it may be using by itself, and so does one that has
-- not come back since the state was lost. In a horizon each host may have two slots at least: one
-- in use, and one for later.
local hosts, active, horizon
local function count()
  hosts = math.max(redis.call('ZCARD', heard), 1)
  active = math.max(redis.call('ZCOUNT', heard, text(now - SILENT), '+inf'), 1)
  if learning then
    hosts = math.max(hosts, learned + came)
  end
  horizon = LEAST
  if rate > 0 then
    horizon = math.max(horizon, 2000000 * hosts / rate)
  end
end
count()

-- The slots that were granted before are not known, but none is later than the line is long.
if lost or older or step ~= 0 then
  tat = now + LINE * horizon
end

-- answer stores the state and returns what every caller is told, with the values given.
local function answer(...)
  local known = not lost or id ~= '' or version > 0 or pauses > 0
  local store = known and redis.call or function() end -- a name that is misspelt leaves nothing
  store('HSET', state, 'epoch', epoch, 'at', text(step ~= 0 and now or math.max(at, now)),
    'tat', text(tat), 'pause', text(pause), 'pauses', text(pauses), 'source', source,
    'version', text(version), 'rate', exact(rate), 'burst', text(burst),
    'inflight', text(inflight), 'givenrate', exact(givenRate), 'givenburst', text(givenBurst),
    'giveninflight', text(givenInflight), 'opened', opened,
    'since', text(since), 'hosts', text(learned), 'came', text(came))
  for _, key in ipairs({heard, joined, ends, info, permits, hungry, beats}) do
    redis.call('PEXPIRE', key, 86400000)
  end
  local rank = id ~= '' and redis.call('ZRANK', joined, id) or 0
  return {epoch, text(now), text(hosts), text(active), text(rank),
    text(math.max(pause - now, 0)), text(pauses), source,
    text(version), exact(rate), text(burst), text(inflight),
    exact(givenRate), text(givenBurst), text(givenInflight), ...}
end

-- answerAll is answer with a list, which may be longer than a call can have arguments.
local function answerAll(values)
  local all = answer()
  for _, value in ipairs(values) do
    table.insert(all, value)
  end
  return all
end
