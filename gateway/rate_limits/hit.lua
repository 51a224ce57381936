-- Spend from the budget of KEYS[1]. ARGV: limit, window in milliseconds, cost (0 reads only).
-- Answers: 1 if allowed, what is spent now, milliseconds until the window ends.
local spent = tonumber(redis.call('GET', KEYS[1]) or '0')
local cost = tonumber(ARGV[3])
local allowed = spent + cost <= tonumber(ARGV[1])
if allowed and cost > 0 then
  spent = redis.call('INCRBY', KEYS[1], cost)
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[2])
  -- A new window, or one whose end was lost.
  redis.call('PEXPIRE', KEYS[1], left)
end
return {allowed and 1 or 0, spent, left}
