-- The border: every call of Python's goes through here, and what Python calls comes in through here.
--
-- Lua reports that memory has ended by a jump, which must never happen inside of a crossing (see sandbox.py). `calm` is
-- how much may be used for a crossing to need less than is left under any circumstances. Beyond it the callee is the
-- one that lifts the cap first; what held before is restored as soon as it is back, before anything else is done. What a
-- callee is given takes memory for tables, functions and threads, before it can lift anything; it has no use for them.

local cage = ...

local collectgarbage, error, next, pcall, select, type = collectgarbage, error, next, pcall, select, type
local restore, impose, release = cage.restore, cage.impose, cage.release

local UNLIMITED = 1 / 0
local calm = UNLIMITED -- kilobytes

function cage.set_calm(bytes)
  calm = bytes and bytes / 1024 or UNLIMITED
end

local function back(ok, ...)
  restore()
  if ok then
    return ...
  end
  error((...), 0)
end

local PLAIN = { ["nil"] = true, boolean = true, number = true, string = true }

-- The arguments, with false in the place of those that are no plain values.
local function plain_values(first, ...)
  if select("#", ...) == 0 then
    return PLAIN[type(first)] and first or false
  end
  return PLAIN[type(first)] and first or false, plain_values(...)
end

local function all_plain(...)
  for i = 1, select("#", ...) do
    if not PLAIN[type((select(i, ...)))] then
      return false
    end
  end
  return true
end

local function guarded(plain, lifting)
  return function(...)
    if collectgarbage("count") <= calm then
      return plain(...)
    elseif all_plain(...) then
      return back(pcall(lifting, ...))
    end
    return back(pcall(lifting, plain_values(...)))
  end
end

for name, plain in next, cage.plain do
  cage[name] = guarded(plain, cage.lifting[name])
end

-- Calls a function with the cap as it should be, which Python has lifted to pass the arguments.
function cage.capped(entered, ...)
  impose()
  return entered(...)
end

-- What a function of the cage gives to Python that is no plain value.
function cage.leaving(...)
  release()
  return ...
end
