-- Shares the rate that hosts find while none is given. The caller states the rate that it has found
-- by itself, or else by how much its rate has changed since the last answer, and its rate. The answer
-- has the rate of each host, and whether this one looks for more.
local FIRST = 5000000   -- in which all may be finding their part of the same rate
local KEEPS = 3600000000 -- what was found longer ago says nothing
local SEEKS = 20000000  -- a host looks for more for so long, as long as others are there

local f = redis.call('HMGET', state, 'found', 'foundat', 'foundsince', 'seeker', 'seeksuntil')
local found, at, since = number(f[1]), number(f[2]), number(f[3])
local seeker, untils = f[4] or '', number(f[5])
local own, change = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])

if at > now + JUMP or now - at > KEEPS then
  found = 0
end
if own > 0 then
  if found <= 0 then
    found, since = own, now
  elseif now - since < FIRST then
    found = found + own
  end
elseif found > 0 then
  found = math.max(found + change, found / 4)
end
if tonumber(ARGV[arg + 3]) > 0 then
  at = now
end
if seeker ~= id and (untils <= now or untils > now + SEEKS or
    not redis.call('ZSCORE', heard, seeker)) then
  seeker, untils = id, now + SEEKS
end
redis.call('HSET', state, 'found', exact(found), 'foundat', text(at),
  'foundsince', text(since), 'seeker', seeker, 'seeksuntil', text(untils))
return answer(exact(found / active), seeker == id and '1' or '0')
