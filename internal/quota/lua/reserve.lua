-- Grants slots to a host: want of them at most.
local want = tonumber(ARGV[arg + 1])

if rate <= 0 then
  return answer('0', '0', '0', '1000000')
end
local each = 1000000 * hosts / (rate * active) -- from one slot to the next

-- A chunk is as long as half the least horizon, divided by the hosts that want more than they get.
redis.call('ZREMRANGEBYSCORE', hungry, '-inf', text(now - math.max(1000000, 2 * horizon)))
redis.call('ZREM', hungry, id)
local rivals = redis.call('ZCARD', hungry) + 1
local chunk = math.max(math.ceil(LEAST / 2 / each / rivals), 1)
if want >= chunk then
  redis.call('ZADD', hungry, text(now), id)
end
horizon = math.max(horizon, 2 * rivals * chunk * each)

local start = math.max(tat, now - (math.max(burst, 1) - 1) * each, pause)

-- The share of a host lasts as long as it takes that host alone to use it at an equal rate. One
-- that was slow has credit for a while, so that all have the same in the long run.
local spent = number(redis.call('HGET', ends, id))
if spent == 0 or spent > now + 4 * horizon then
  spent = now
end
spent = math.max(spent, now - horizon)

local slack = chunk * each / 2
local ahead = horizon / 2
if start >= now + LINE * horizon + slack then
  return answer('0', '0', '0', text(start - now - horizon))
end
-- A host that is ahead of its share waits for the others, unless the line would run dry.
if spent > now + ahead + slack and start > now + ahead / 2 then
  return answer('0', '0', '0', text(math.min(spent - ahead, start - ahead / 2) - now))
end

local n, spacing = math.min(want, chunk), each
if start < now then -- the burst, at once
  local saved = math.floor((now - start) / each) + 1
  n, spacing = math.min(want, saved), 0
end
tat = start + n * each
redis.call('HSET', ends, id, text(spent + n * each * rivals))
return answer(text(n), text(math.max(start - now, 0)), string.format('%.3f', spacing), '0')
