-- Stores what was not stated yet of the settings, unless something else was stated of one.
local changed, differ = false, false
local function settle(old, new)
  differ = differ or old > 0 and new > 0 and old ~= new
  if old > 0 or new <= 0 then
    return old
  end
  changed = true
  return new
end
local r = settle(rate, tonumber(ARGV[arg + 1]))
local b = settle(burst, tonumber(ARGV[arg + 2]))
local f = settle(inflight, tonumber(ARGV[arg + 3]))
if changed and not differ then
  rate, burst, inflight = r, b, f
  version = math.max(version + 1, now)
  count()
  redis.call('PUBLISH', news, 'settings')
end
return answer()
