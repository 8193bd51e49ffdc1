-- A host goes in good order, and leaves its share and its permits to the others.
remove(id)
for i = arg + 1, #ARGV do
  redis.call('HDEL', permits, ARGV[i])
end
if came > 0 then
  came = came - 1
else
  learned = math.max(learned - 1, 0)
end
count()
return answer()
