-- string, table and math as scripts get them: bounded where C's stack is at stake, deterministic where Redis's are.

local cage = ...

local error, ipairs, select, tonumber, tostring, type = error, ipairs, select, tonumber, tostring, type
local floor = math.floor
local find, rep, insert = string.find, string.rep, table.insert

local bad_argument, copy, reals = cage.bad_argument, cage.copy, cage.reals

local MAX_PATTERN = cage.max_pattern -- bytes of a pattern: matching recurses in C for each of its items

-- Strings -----------------------------------------------------------------------------------------------------------

local safe_string = copy(string)

local function checked(name, subject, pattern)
  if type(subject) ~= "string" and type(subject) ~= "number" then
    local got = subject == nil and pattern == nil and "no value" or type(subject)
    bad_argument(1, name, "string expected, got " .. got, 3)
  end
  if type(pattern) ~= "string" and type(pattern) ~= "number" then
    bad_argument(2, name, "string expected, got " .. (pattern == nil and "no value" or type(pattern)), 3)
  end
  pattern = tostring(pattern)
  if #pattern > MAX_PATTERN then
    error("pattern too complex", 3)
  end
  return subject, pattern
end

for _, name in ipairs({ "match", "gmatch", "gfind", "gsub" }) do
  local matcher = string[name]
  safe_string[name] = matcher and function(subject, pattern, ...)
    if type(pattern) ~= "string" or #pattern > MAX_PATTERN or type(subject) ~= "string" then
      subject, pattern = checked(name, subject, pattern)
    end
    return matcher(subject, pattern, ...)
  end
end

function safe_string.find(subject, pattern, init, plain)
  if type(pattern) ~= "string" or (#pattern > MAX_PATTERN and not plain) or type(subject) ~= "string" then
    subject, pattern = checked("find", subject, pattern)
  end
  return find(subject, pattern, init, plain)
end

function safe_string.rep(...)
  local text, times = ...
  if type(text) ~= "string" and type(text) ~= "number" then
    local got = select("#", ...) == 0 and "no value" or type(text)
    bad_argument(1, "rep", "string expected, got " .. got, 2)
  elseif type(times) ~= "number" and (type(times) ~= "string" or not tonumber(times)) then
    local got = select("#", ...) < 2 and "no value" or type(times)
    bad_argument(2, "rep", "number expected, got " .. got, 2)
  elseif text == "" then
    return "" -- stock Lua would copy nothing as often as it is told
  end
  return rep(text, times)
end

-- Tables and numbers ------------------------------------------------------------------------------------------------

local safe_table = copy(table)

function safe_table.insert(...)
  if reals[(...)] then
    error(cage.READ_ONLY, 0)
  end
  return insert(...)
end

local safe_math = copy(math)

-- Redis's generator (POSIX drand48): the same numbers for the same seed on every machine.
local HALF, MULTIPLIER_LOW, MULTIPLIER_HIGH, INCREMENT = 2 ^ 24, 0xECE66D, 0x5DE, 0xB
local seed_low, seed_high = 0xCD330E, 0x1234AB
local RANDOM_MAX = 2 ^ 31 - 1

local function random()
  local low = seed_low * MULTIPLIER_LOW + INCREMENT
  seed_high = (seed_low * MULTIPLIER_HIGH + seed_high * MULTIPLIER_LOW + floor(low / HALF)) % HALF
  seed_low = low % HALF
  return (seed_high * 128 + floor(seed_low / 131072)) % RANDOM_MAX / RANDOM_MAX
end

local function integer_argument(n, name, value)
  local number = tonumber(value)
  if number == nil or (type(value) ~= "number" and type(value) ~= "string") then
    bad_argument(n, name, "number expected, got " .. (value == nil and "no value" or type(value)), 3)
  end
  return number < 0 and -floor(-number) or floor(number)
end

function safe_math.random(...)
  local given = select("#", ...)
  local r = random()
  if given == 0 then
    return r
  elseif given == 1 then
    local upper = integer_argument(1, "random", (...))
    if upper < 1 then
      bad_argument(1, "random", "interval is empty", 2)
    end
    return floor(r * upper) + 1
  elseif given == 2 then
    local lower = integer_argument(1, "random", (...))
    local upper = integer_argument(2, "random", (select(2, ...)))
    if lower > upper then
      bad_argument(2, "random", "interval is empty", 2)
    end
    return floor(r * (upper - lower + 1)) + lower
  end
  error("wrong number of arguments", 2)
end

function safe_math.randomseed(...)
  local seed = integer_argument(1, "randomseed", (...)) % 2 ^ 32
  local low = seed % 2 ^ 16
  -- 48 bits: the seed's 32 above 0x330E.
  seed_low = 0x330E + low % 256 * 65536
  seed_high = floor(low / 256) + floor(seed / 65536) * 256
end

cage.string, cage.table, cage.math = safe_string, safe_table, safe_math
