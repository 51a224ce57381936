-- Spend from the budgets of all KEYS, or of none. ARGV: window in milliseconds, cost (0 reads only), the limit of each key.
-- Answers for each key: 1 if its budget allows it, what is spent now, milliseconds until its window ends.
local window, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local spent, answer, allowed = {}, {}, true
for place, key in ipairs(KEYS) do
  spent[place] = tonumber(redis.call('GET', key) or '0')
  local enough = spent[place] + cost <= tonumber(ARGV[2 + place])
  allowed = allowed and enough
  answer[3 * place - 2] = enough and 1 or 0
end
for place, key in ipairs(KEYS) do
  if allowed and cost > 0 then
    spent[place] = redis.call('INCRBY', key, cost)
  end
  local left = redis.call('PTTL', key)
  if left < 0 then
    left = window
    -- A new window, or one whose end was lost.
    redis.call('PEXPIRE', key, left)
  end
  answer[3 * place - 1] = spent[place]
  answer[3 * place] = left
end
return answer
