-- Stores what was not stated yet of the settings. Where something else was given of one, and is in
-- force, nothing is stored.
local changed, differ = false, false
local function settle(force, given, new)
  if new <= 0 then
    return force, given
  end
  if given <= 0 and (force <= 0 or force == new) then
    changed = true
    return new, new
  end
  differ = differ or new ~= given and new ~= force
  return force, given
end
local r, gr = settle(rate, givenRate, tonumber(ARGV[arg + 1]))
local b, gb = settle(burst, givenBurst, tonumber(ARGV[arg + 2]))
local f, gf = settle(inflight, givenInflight, tonumber(ARGV[arg + 3]))
if changed and not differ then
  if version == 0 then -- hosts that were there before may know more
    opened = epoch
  end
  rate, burst, inflight = r, b, f
  givenRate, givenBurst, givenInflight = gr, gb, gf
  version = version + 1
  count()
  redis.call('PUBLISH', news, 'settings')
end
return answer()
