-- Changes those of the settings in force that are given, if the caller knows those before: else it
-- may be late, and undo what was set since. Returns whether it did.
if knownVersion ~= version then
  return answer('0')
end
local function given(old, new)
  return new == '' and old or tonumber(new)
end
rate = given(rate, ARGV[arg + 1])
burst = given(burst, ARGV[arg + 2])
inflight = given(inflight, ARGV[arg + 3])
if ARGV[arg + 1] ~= '' then -- hosts give up what they were granted at the rate before
  tat = math.min(tat, now + LEAST)
end
version, opened = math.max(version + 1, now), ''
count()
redis.call('PUBLISH', news, 'settings')
return answer('1')
