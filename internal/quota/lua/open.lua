-- Stores what was not stated yet of the settings.
local changed = false
local function settle(old, new)
  if old > 0 or new <= 0 then
    return old
  end
  changed = true
  return new
end
rate = settle(rate, tonumber(ARGV[arg + 1]))
burst = settle(burst, tonumber(ARGV[arg + 2]))
inflight = settle(inflight, tonumber(ARGV[arg + 3]))
if changed then
  version = math.max(version + 1, now)
  count()
  redis.call('PUBLISH', news, 'settings')
end
return answer()
