-- A host says how it is, and renews its permits: the number of the beat, then a text, then triples
-- of a name, how many it wants, and how many it may have in use until it reads the answer. The
-- answer has how many it may have in use from then on. One that comes late has no answer.
local beat = tonumber(ARGV[arg + 1])
if beat < number(redis.call('HGET', beats, id)) then
  return answer()
end
redis.call('HSET', beats, id, text(beat))
redis.call('HSET', info, id, ARGV[arg + 2])

local names, want, held = {}, {}, {}
local function add(name, wants, holds)
  if not want[name] then
    table.insert(names, name)
  end
  want[name], held[name] = wants, holds
end

local all = redis.call('HGETALL', permits)
for i = 1, #all, 2 do
  local wants, holds, ends = string.match(all[i + 1], '^(%d+) (%d+) (%d+)$')
  ends = number(ends)
  if ends <= now then
    redis.call('HDEL', permits, all[i])
  else
    add(all[i], tonumber(wants), tonumber(holds))
  end
end
local mine = {}
for i = arg + 3, #ARGV, 3 do
  table.insert(mine, ARGV[i])
  add(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
end
if inflight <= 0 then
  redis.call('DEL', permits)
  local out = {}
  for i in ipairs(mine) do
    out[i] = '-1'
  end
  return answerAll(out)
end

-- Each gets what it wants, or else as much as any other. The rest is divided, too, so that more is
-- there at once. A remainder goes round, so that no host is without a permit for long.
table.sort(names, function(a, b)
  if want[a] ~= want[b] then
    return want[a] < want[b]
  end
  return a < b
end)
local share, left = {}, inflight
for i, name in ipairs(names) do
  local others = #names - i + 1
  if want[name] * others > left then
    local level = math.floor(left / others)
    local over = left - level * others
    local turn = math.floor(now / 5000000) * over
    for j = i, #names do
      share[names[j]] = level
      if (j - i + turn) % others < over then
        share[names[j]] = level + 1
      end
    end
    left = 0
    break
  end
  share[name] = want[name]
  left = left - want[name]
end
for i, name in ipairs(names) do
  local more = math.floor(left / (#names - i + 1))
  share[name] = share[name] + more
  left = left - more
end

-- A share that grows takes what is free; one that shrinks is free once its host says that it is.
-- What hosts have that were there before the state was lost is not known until they say so.
local unknown = now - since < LEARN or
  now - since < LIFE and redis.call('HLEN', beats) < learned + came
local total = 0
for _, name in ipairs(names) do
  total = total + held[name]
end
local out = {}
for i, name in ipairs(mine) do
  local free = math.max(inflight - (total - held[name]), 0)
  if unknown then
    free = math.min(free, held[name])
  end
  local may = math.min(share[name], free)
  total = total - held[name] + math.max(held[name], may)
  held[name] = math.max(held[name], may)
  redis.call('HSET', permits, name, table.concat({text(want[name]), text(held[name]),
    text(now + LIFE)}, ' '))
  out[i] = text(may)
end
return answerAll(out)
