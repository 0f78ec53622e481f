-- redis.register_function, and the little else that a library's code may use while it is loaded.

local cage = ...

local match, lower, concat = string.match, string.lower, table.concat
local next, pairs, select, tostring, type = next, pairs, select, tostring, type

local c_string, complain, is_text = cage.c_string, cage.complain, cage.is_text
local register_in_python = cage.register_function

local function registered(answer)
  if answer then
    complain(answer)
  end
end

local function flag_names(flags)
  local names = {}
  local i = 1
  while true do
    local flag = flags[i]
    if flag == nil then
      return concat(names, " ")
    end
    if type(flag) ~= "string" and type(flag) ~= "number" then
      complain("unknown flag given")
    end
    names[i] = c_string(tostring(flag))
    i = i + 1
  end
end

local callbacks -- what the library that is being loaded has registered: name -> function

local function register(name, callback, description, flags)
  registered(register_in_python(name, description, flags))
  callbacks[name] = callback
end

local function register_by_names(arguments)
  if type(arguments) ~= "table" then
    complain(
      "calling redis.register_function with a single argument is only applicable to Lua table"
        .. " (representing named arguments)."
    )
  end
  local name, description, callback, flags
  for key, value in next, arguments do
    if not is_text(key) then
      complain("named argument key given to redis.register_function is not a string")
    end
    key = lower(c_string(tostring(key)))
    if key == "function_name" then
      if not is_text(value) then
        complain("function_name argument given to redis.register_function must be a string")
      end
      name = tostring(value)
    elseif key == "description" then
      if not is_text(value) then
        complain("description argument given to redis.register_function must be a string")
      end
      description = tostring(value)
    elseif key == "callback" then
      if type(value) ~= "function" then
        complain("callback argument given to redis.register_function must be a function")
      end
      callback = value
    elseif key == "flags" then
      if type(value) ~= "table" then
        complain("flags argument to redis.register_function must be a table representing function flags")
      end
      flags = flag_names(value)
    else
      complain("unknown argument given to redis.register_function")
    end
  end
  if not name then
    complain("redis.register_function must get a function name argument")
  end
  if not callback then
    complain("redis.register_function must get a callback argument")
  end
  register(name, callback, description, flags)
end

local loading_redis = {}

function loading_redis.register_function(...)
  local given = select("#", ...)
  if not callbacks then
    complain("redis.register_function can only be called on FUNCTION LOAD command")
  end
  if given < 1 or given > 2 then
    complain("wrong number of arguments to redis.register_function")
  end
  local name, callback = ...
  if given == 1 then
    return register_by_names(name)
  end
  if not is_text(name) then
    complain("first argument to redis.register_function must be a string")
  end
  if type(callback) ~= "function" then
    complain("second argument to redis.register_function must be a function")
  end
  register(tostring(name), callback)
end

for name, value in pairs(cage.constants) do
  if match(name, "^LOG") or match(name, "^REDIS") then
    loading_redis[name] = value
  end
end
loading_redis.log = cage.redis.log

cage.loading_redis = loading_redis

-- Runs a library's code with `load`; what it has registered, by name, and what load gives.
function cage.registering(load, ...)
  callbacks = {}
  local ok, failure = load(...)
  local found = callbacks
  callbacks = nil
  return found, ok, failure
end
