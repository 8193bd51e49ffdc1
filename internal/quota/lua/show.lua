-- Returns what is known of each host: its id, how long ago it was heard from, and what it said.
local out = {}
for _, host in ipairs(redis.call('ZRANGE', joined, 0, -1)) do
  table.insert(out, host)
  table.insert(out, text(now - number(redis.call('ZSCORE', heard, host))))
  table.insert(out, redis.call('HGET', info, host) or '')
end
return answerAll(out)
