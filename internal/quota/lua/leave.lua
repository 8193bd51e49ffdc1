-- A host goes in good order, and leaves its share and its permits to the others.
remove(id)
for i = arg + 1, #ARGV do
  redis.call('HDEL', permits, ARGV[i])
end
count()
return answer()
