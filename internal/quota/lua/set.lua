-- Changes those of the settings that are given.
local function given(old, new)
  return new == '' and old or tonumber(new)
end
rate = given(rate, ARGV[arg + 1])
burst = given(burst, ARGV[arg + 2])
inflight = given(inflight, ARGV[arg + 3])
version = math.max(version + 1, now)
count()
redis.call('PUBLISH', news, 'settings')
return answer()
