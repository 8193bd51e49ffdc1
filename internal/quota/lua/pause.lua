-- Pauses all hosts for a time, or ends their pause where it is 0, if the caller knows of the pause
-- before: else it may be late. Returns whether that is settled.
local length = tonumber(ARGV[arg + 1])
if knownPauses ~= pauses then
  return answer('0')
elseif length <= 0 then
  pause, source = 0, ''
elseif now + length > pause then
  pause, source = now + length, ARGV[arg + 2]
else
  return answer('1')
end
pauses = math.max(pauses + 1, now)
redis.call('PUBLISH', news, table.concat({'pause', text(pauses), text(length), source}, ' '))
return answer('1')
