-- The cage: what a script may reach, built inside Lua before any script runs.
--
-- Stock Lua 5.1 has no read-only tables, so a library is seen through a proxy: an empty table whose metatable looks
-- names up in the real one, which no script ever holds. What could write into the proxy itself or read through it
-- (rawset, table.insert, setmetatable, next, ...) knows the proxies. Everything here lives in upvalues: when this
-- chunk has run, the global table of the Lua state is empty, and functions find their names in environments.
--
-- Called with one table of Python's callables, already C functions; gives the table of functions Python calls.

local python = ...

local assert, error, getmetatable, gcinfo, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select =
  assert, error, getmetatable, gcinfo, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select
local setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall =
  setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall
local collectgarbage = collectgarbage
local string, table, math, coroutine = string, table, math, coroutine
local concat, insert, floor = table.concat, table.insert, math.floor
local byte, dump, find, format, match, sub = string.byte, string.dump, string.find, string.format, string.match, string.sub
local create, resume, running, status, wrap, yield =
  coroutine.create, coroutine.resume, coroutine.running, coroutine.status, coroutine.wrap, coroutine.yield
local getinfo, sethook, getregistry = debug.getinfo, debug.sethook, debug.getregistry
local clock = os.clock

local python_call, python_hook, python_patch = python.call, python.hook, python.patch
local python_double, python_number = python.double, python.number

local HOOK_EVERY = python.hook_every       -- instructions between two looks at the clock
local MAX_PATTERN = python.max_pattern     -- bytes of a pattern: matching recurses in C for each of its items
local MAX_RESULTS = 7990                   -- values that unpack may give: what Lua's C stack holds
local MAX_REPLY_DEPTH = 7995               -- tables within each other in a reply: where Redis's Lua stack ends
local HERE = "=cage"                       -- this chunk's name

local memory_limit = math.huge             -- kilobytes from which no more calls are made into Python

-- Error texts -------------------------------------------------------------------------------------------------------

local READ_ONLY = "Attempt to modify a readonly table"
local OUT_OF_MEMORY = "not enough memory"

local function c_string(text)
  return match(text, "^[^%z]*")
end

-- An error as redis.pcall gives it. `text` with a leading `-` carries its own code; any other gets ERR.
local function error_table(text)
  text = c_string(text)
  local code = "ERR"
  if byte(text) == 45 then
    local space = find(text, " ", 1, true)
    if space then
      code, text = sub(text, 2, space - 1), sub(text, space + 1)
    else
      text = sub(text, 2)
    end
  end
  return { err = code .. " " .. match(text, "^[\r\n]*(.-)[\r\n]*$") }
end

local function bad_argument(n, name, complaint, level)
  error(format("bad argument #%d to '%s' (%s)", n, name, complaint), level + 1)
end

local function type_of(...)
  return select("#", ...) == 0 and "no value" or type((...))
end

-- Killing -----------------------------------------------------------------------------------------------------------

-- Whatever catches errors (pcall, xpcall, resume, load) raises this again, so that no loop around them survives.
local killed = nil

local function hook()
  local verdict = python_hook()
  if verdict then
    killed = error_table(verdict)
    error(killed, 0)
  elseif killed then
    error(killed, 0)
  end
end

sethook(hook, "", HOOK_EVERY)

-- Lua keeps hooks by thread in a table that never forgets; entries of a script's coroutines go when it ends.
local hooks, main_hook
for _, entry in pairs(getregistry()) do
  if type(entry) == "table" then
    for thread, its_hook in pairs(entry) do
      if rawequal(its_hook, hook) then
        hooks, main_hook = entry, thread
      end
    end
  end
end
local has_coroutines = false

-- Read-only views ---------------------------------------------------------------------------------------------------

local reals = {} -- proxy -> the table behind it

local function refuse_write()
  error(READ_ONLY, 2)
end

local function view(real)
  local proxy = setmetatable({}, { __index = real, __newindex = refuse_write })
  reals[proxy] = real
  return proxy
end

local function copy(real)
  local result = {}
  for key, value in next, real do
    result[key] = value
  end
  return result
end

local function nonexistent(_, name)
  if type(name) ~= "string" and type(name) ~= "number" then
    error("Second argument to luaProtectedTableError must be a string or number", 2)
  end
  error("Script attempted to access nonexistent global variable '" .. c_string(tostring(name)) .. "'", 2)
end

local names_known = { __index = nonexistent }

-- The base library --------------------------------------------------------------------------------------------------

local base = {
  _VERSION = _VERSION,
  assert = assert,
  error = error,
  gcinfo = gcinfo,
  ipairs = ipairs,
  rawequal = rawequal,
  select = select,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
}

function base.rawset(...)
  if reals[(...)] then
    error(READ_ONLY, 0)
  end
  return rawset(...)
end

function base.rawget(...)
  local real = reals[(...)]
  if real then
    return rawget(real, select(2, ...))
  end
  return rawget(...)
end

function base.next(...)
  local real = reals[(...)]
  if real then
    return next(real, select(2, ...))
  end
  return next(...)
end

function base.pairs(...)
  local real = reals[(...)]
  if real then
    return next, copy(real)
  end
  return pairs(...)
end

function base.setmetatable(...)
  if reals[(...)] then
    error(READ_ONLY, 0)
  end
  return setmetatable(...)
end

local metatable_of_globals = view(names_known)
local environments = {}

function base.getmetatable(...)
  local owner = ...
  if reals[owner] then
    return environments[owner] and metatable_of_globals
  end
  return getmetatable(...)
end

function base.unpack(...)
  local list, first, last = ...
  if last == nil and type(list) == "table" then
    last = #list
  end
  if type(last) == "number" and last - (tonumber(first) or 1) >= MAX_RESULTS then
    error("too many results to unpack", 2)
  end
  return unpack(...)
end

local COLLECTOR = { collect = true, count = true, step = true }
local COLLECTOR_SETTINGS = { stop = true, restart = true, setpause = true, setstepmul = true }

-- How the collector works is not a script's to change: it would hold for all that come after.
function base.collectgarbage(what, ...)
  what = what == nil and "collect" or what
  if COLLECTOR[what] then
    return collectgarbage(what, ...)
  elseif COLLECTOR_SETTINGS[what] then
    return 0
  end
  bad_argument(1, "collectgarbage", format("invalid option '%s'", tostring(what)), 2)
end

-- The position of one of this chunk's own lines says nothing to a script.
local OWN_POSITION = "^cage:%d+: "

local function without_position(problem)
  if type(problem) == "string" then
    return (string.gsub(problem, OWN_POSITION, ""))
  end
  return problem
end

local function caught(ok, problem, ...)
  if ok then
    return ok, problem, ...
  end
  if killed then
    error(killed, 0)
  end
  problem = without_position(problem)
  if type(problem) == "table" then
    -- As scripts written for old versions of Redis expect: the text alone.
    local text = problem.err
    if type(text) == "string" or type(text) == "number" then
      problem = text
    end
  end
  return false, problem
end

function base.pcall(...)
  return caught(pcall(...))
end

local function caught_as_it_is(ok, ...)
  if ok then
    return ok, ...
  end
  if killed then
    error(killed, 0)
  end
  return ok, without_position((...)), select(2, ...)
end

function base.xpcall(...)
  return caught_as_it_is(xpcall(...))
end

-- Compiling ---------------------------------------------------------------------------------------------------------

-- The only way to make a function from text. Byte code given as text is refused as the text it is; the compiled
-- function passes through Python, which changes it where stock Lua 5.1 falls short (see bytecode.py). `name` is
-- held here all the while: the parser of Lua 5.1 does not keep it from the garbage collector.
local function compile(source, name, environment)
  if byte(source) == 27 then
    source = " " .. source
  end
  local compiled, problem = loadstring(source, name)
  if not compiled then
    return nil, problem
  end
  local code, refusal = python_patch(dump(compiled))
  if not code then
    return nil, refusal
  end
  compiled, problem = loadstring(code, name)
  if not compiled then
    return nil, problem
  end
  return setfenv(compiled, environment), name
end

local environment -- the environment of the script that runs

local function chunk_name(name, default)
  if name == nil then
    return c_string(default)
  end
  return c_string(tostring(name))
end

function base.loadstring(...)
  local source, name = ...
  if type(source) ~= "string" and type(source) ~= "number" then
    bad_argument(1, "loadstring", "string expected, got " .. type_of(...), 2)
  end
  source = tostring(source)
  local compiled, problem = compile(source, chunk_name(name, source), environment)
  if compiled then
    return compiled
  end
  return nil, problem
end

function base.load(...)
  local reader, name = ...
  if type(reader) ~= "function" then
    bad_argument(1, "load", "function expected, got " .. type_of(...), 2)
  end
  local pieces = {}
  while true do
    local ok, piece = caught_as_it_is(pcall(reader))
    if not ok then
      return nil, piece
    end
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" and type(piece) ~= "number" then
      return nil, "reader function must return a string"
    end
    insert(pieces, piece)
  end
  local compiled, problem = compile(concat(pieces), chunk_name(name, "=(load)"), environment)
  if compiled then
    return compiled
  end
  return nil, problem
end

-- Coroutines: each has a hook of its own ----------------------------------------------------------------------------

local safe_coroutine = { running = running, status = status, yield = yield }

local function hooked(thread)
  has_coroutines = true
  sethook(thread, hook, "", HOOK_EVERY)
  return thread
end

function safe_coroutine.create(...)
  local body = ...
  if type(body) ~= "function" then
    bad_argument(1, "create", "Lua function expected", 2)
  end
  return hooked(create(body))
end

function safe_coroutine.resume(...)
  return caught_as_it_is(resume(...))
end

function safe_coroutine.wrap(...)
  local body = ...
  if type(body) ~= "function" then
    bad_argument(1, "wrap", "Lua function expected", 2)
  end
  -- The thread hooks itself at its first step: nobody else can name it.
  return wrap(function(...)
    has_coroutines = true
    sethook(hook, "", HOOK_EVERY)
    return body(...)
  end)
end

-- Strings: patterns are bounded, since matching recurses on C's stack -----------------------------------------------

local safe_string = copy(string)

local function checked(name, subject, pattern)
  if type(subject) ~= "string" and type(subject) ~= "number" then
    bad_argument(1, name, "string expected, got " .. (subject == nil and pattern == nil and "no value" or type(subject)), 3)
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
  local text = ...
  if text == "" then
    return "" -- stock Lua would copy nothing as often as it is told
  end
  return string.rep(...)
end

-- Tables and numbers ------------------------------------------------------------------------------------------------

local safe_table = copy(table)

function safe_table.insert(...)
  if reals[(...)] then
    error(READ_ONLY, 0)
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

-- redis.* -----------------------------------------------------------------------------------------------------------

-- What Python gives for a command's reply: one plain value, or a value and what it is.
local STATUS, ERROR, ARRAY, ENCODED = 1, 2, 3, 4

-- Any reply as it was encoded, from the byte `at` on: its value, and where the next begins.
local decode

local function decode_many(text, count, at)
  local values = {}
  for i = 1, count do
    values[i], at = decode(text, at)
  end
  return values, at
end

local function decode_map(text, count, at)
  local pairs_of = {}
  for _ = 1, count do
    local key, value
    key, at = decode(text, at)
    value, at = decode(text, at)
    if key ~= nil then
      pairs_of[key] = value
    end
  end
  return { map = pairs_of }, at
end

local function decode_set(text, count, at)
  local members = {}
  for _ = 1, count do
    local member
    member, at = decode(text, at)
    if member ~= nil then
      members[member] = true
    end
  end
  return { set = members }, at
end

local LINES = {
  ["+"] = function(line)
    return { ok = line }
  end,
  ["-"] = function(line)
    return { err = line, ignore_error_stats_update = true }
  end,
  [":"] = tonumber,
  [","] = function(line)
    return { double = python.read_double(line) }
  end,
  ["("] = function(line)
    return { big_number = line }
  end,
  ["#"] = function(line)
    return line == "t"
  end,
  ["_"] = function() end,
}

function decode(text, at)
  local stop = find(text, "\r", at, true)
  local kind, line = sub(text, at, at), sub(text, at + 1, stop - 1)
  at = stop + 2
  local read = LINES[kind]
  if read then
    return read(line), at
  end
  local size = tonumber(line)
  if size < 0 then
    return false, at
  elseif kind == "$" then
    return sub(text, at, at + size - 1), at + size + 2
  elseif kind == "*" then
    return decode_many(text, size, at)
  elseif kind == "%" then
    return decode_map(text, size, at)
  elseif kind == "~" then
    return decode_set(text, size, at)
  end
  local verbatim = { format = sub(text, at, at + 2), string = sub(text, at + 4, at + size - 1) }
  return { verbatim_string = verbatim }, at + size + 2
end

local function reply(value, kind, ...)
  if kind == nil then
    return value
  elseif kind == STATUS then
    return { ok = value }
  elseif kind == ARRAY then
    return { ... }
  elseif kind == ENCODED then
    return (decode(value, 1))
  end
  return { err = value, ignore_error_stats_update = true }
end

local function reply_or_raise(value, kind, ...)
  if kind == nil then
    return value
  elseif kind == STATUS then
    return { ok = value }
  elseif kind == ARRAY then
    return { ... }
  elseif kind == ENCODED then
    return (decode(value, 1))
  end
  error({ err = value, ignore_error_stats_update = true })
end

local NOT_TEXTS = "Lua redis lib command arguments must be strings or integers"

-- lupa's cost for a call grows with the square of the number of arguments: many go as one text and their lengths.
local FEW = 24

local function call_with_many(...)
  local lengths, texts = {}, { ... }
  for i = 1, select("#", ...) do
    local text = texts[i]
    if type(text) == "number" then
      text = python_number(text)
    elseif type(text) ~= "string" then
      return "ERR " .. NOT_TEXTS, ERROR
    end
    texts[i], lengths[i] = text, #text
  end
  return python.call_with_many(concat(lengths, " "), concat(texts))
end

-- Near the limit nothing may cross to Python: lupa makes its Lua objects outside of any protected call, so that a
-- failure there would tear through its own frames. `memory_limit` leaves it room.
local function out_of_room()
  collectgarbage()
  if collectgarbage("count") > memory_limit then
    error(OUT_OF_MEMORY, 0)
  end
end

local redis = {}

function redis.call(...)
  if collectgarbage("count") > memory_limit then
    out_of_room()
  end
  if select("#", ...) > FEW then
    return reply_or_raise(call_with_many(...))
  end
  return reply_or_raise(python_call(...))
end

function redis.pcall(...)
  if collectgarbage("count") > memory_limit then
    out_of_room()
  end
  if select("#", ...) > FEW then
    return reply(call_with_many(...))
  end
  return reply(python_call(...))
end

local function complain(text)
  error(error_table(text))
end

function redis.sha1hex(...)
  if select("#", ...) ~= 1 then
    complain("wrong number of arguments")
  end
  local text = ...
  if type(text) ~= "string" and type(text) ~= "number" then
    text = ""
  end
  return python.sha1hex(tostring(text))
end

function redis.error_reply(...)
  local text = ...
  if select("#", ...) ~= 1 or type(text) ~= "string" then
    return error_table("wrong number or type of arguments")
  end
  return error_table(byte(text) == 45 and text or "-" .. text)
end

function redis.status_reply(...)
  local text = ...
  if select("#", ...) ~= 1 or type(text) ~= "string" then
    return error_table("wrong number or type of arguments")
  end
  return { ok = text }
end

local function truncated(value)
  local number = tonumber(value) or 0
  return number < 0 and -floor(-number) or floor(number)
end

function redis.log(...)
  local level = ...
  if select("#", ...) < 2 then
    complain("redis.log() requires two arguments or more.")
  end
  if type(level) ~= "number" and (type(level) ~= "string" or not tonumber(level)) then
    complain("First argument must be a number (log level).")
  end
  level = truncated(level)
  if not (level >= 0 and level <= 3) then
    complain("Invalid log level.")
  end
  local texts = {}
  for i = 2, select("#", ...) do
    local text = select(i, ...)
    if type(text) == "string" or type(text) == "number" then
      insert(texts, (i > 2 and " " or "") .. text)
    end
  end
  python.log(level, concat(texts))
end

local script_resp = 2 -- what redis.setresp has chosen

function redis.setresp(...)
  if select("#", ...) ~= 1 then
    complain("redis.setresp() requires one argument.")
  end
  local version = truncated((...))
  if version ~= 2 and version ~= 3 then
    complain("RESP version must be 2 or 3.")
  end
  script_resp = version
  python.setresp(version)
end

function redis.set_repl(...)
  if select("#", ...) ~= 1 then
    complain("redis.set_repl() requires one argument.")
  end
  local flags = truncated((...))
  if not (flags >= 0 and flags <= 3) then
    complain("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
  end
  python.set_repl(flags)
end

function redis.acl_check_cmd(...)
  local answer, problem = python.acl_check_cmd(...)
  if problem then
    complain(answer)
  end
  return answer
end

local constants = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = python.version, REDIS_VERSION_NUM = python.version_number,
}
for name, value in pairs(constants) do
  redis[name] = value
end

local redis_of_functions = view(copy(redis))

function redis.breakpoint()
  return false
end

function redis.debug() end

function redis.replicate_commands()
  return true
end

-- Registering functions ---------------------------------------------------------------------------------------------

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
  registered(python.register_function(name, description, flags))
  callbacks[name] = callback
end

local function is_text(value)
  return type(value) == "string" or type(value) == "number"
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
    key = string.lower(c_string(tostring(key)))
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

for name in pairs(constants) do
  if match(name, "^LOG") or match(name, "^REDIS") then
    loading_redis[name] = redis[name]
  end
end
loading_redis.log = redis.log

-- Environments ------------------------------------------------------------------------------------------------------

local function nothing_but(names)
  return setmetatable(names, names_known)
end

local libraries = {
  bit = python.libraries.bit and view(python.libraries.bit),
  cjson = python.libraries.cjson and view(python.libraries.cjson),
  cmsgpack = python.libraries.cmsgpack and view(python.libraries.cmsgpack),
  struct = python.libraries.struct and view(python.libraries.struct),
  coroutine = view(safe_coroutine),
  math = view(safe_math),
  os = view({ clock = clock }),
  string = view(safe_string),
  table = view(safe_table),
}

local string_metatable = getmetatable("")
string_metatable.__index = safe_string
string_metatable.__metatable = view({ __index = libraries.string })

-- The names that scripts see, behind the table they see as _G.
local function make_globals(its_redis)
  local globals = copy(base)
  for name, library in pairs(libraries) do
    globals[name] = library
  end
  globals.redis = its_redis
  nothing_but(globals)
  local proxy = view(globals)
  globals._G = proxy
  environments[proxy] = true
  return globals, proxy
end

local script_globals, script_environment = make_globals(view(redis))
local function_globals, function_environment = make_globals(redis_of_functions)
local loading_globals = nothing_but({ redis = view(nothing_but(loading_redis)) })

-- Running -----------------------------------------------------------------------------------------------------------

-- Puts the place where an error was raised beside it, as Redis tells it: the innermost frame of the script's own.
local function handler(problem)
  local level = 2
  local place = getinfo(level, "S")
  if place and place.what == "C" then
    level = 3
    place = getinfo(level, "S")
  end
  local from_here = false
  while place and (place.source == HERE or (from_here and place.what == "tail")) do
    from_here = true
    level = level + 1
    place = getinfo(level, "S")
  end
  place = place and getinfo(level, "Sl")
  if type(problem) ~= "table" then
    problem = tostring(problem)
    local from, to = find(problem, OWN_POSITION)
    if from and place then
      problem = format("%s:%d: %s", place.short_src, place.currentline, sub(problem, to + 1))
    end
    problem = { err = "ERR " .. problem }
  end
  if place then
    problem.source = place.source
    problem.line = place.currentline
  end
  return problem
end

-- A value as a reply, appended to `parts`: `resp` is the client's version. See Redis's conversion rules.
local append

local function append_pairs(map, parts, resp, depth)
  local place, size = #parts + 1, 0
  parts[place] = ""
  for key, value in next, map do
    append(key, parts, resp, depth)
    append(value, parts, resp, depth)
    size = size + 1
  end
  parts[place] = resp == 3 and format("%%%d\r\n", size) or format("*%d\r\n", 2 * size)
end

local function append_set(set, parts, resp, depth)
  local place, size = #parts + 1, 0
  parts[place] = ""
  for member in next, set do
    append(member, parts, resp, depth)
    size = size + 1
  end
  parts[place] = format(resp == 3 and "~%d\r\n" or "*%d\r\n", size)
end

local function append_array(array, parts, resp, depth)
  local place, size = #parts + 1, 0
  parts[place] = ""
  while true do
    local value = rawget(array, size + 1)
    if value == nil then
      break
    end
    append(value, parts, resp, depth)
    size = size + 1
  end
  parts[place] = format("*%d\r\n", size)
end

local function append_bulk(text, parts)
  insert(parts, format("$%d\r\n", #text))
  insert(parts, text)
  insert(parts, "\r\n")
end

local function one_line(text)
  return (string.gsub(text, "[\r\n]", " "))
end

local function append_table(value, parts, resp, depth)
  local text = rawget(value, "err")
  if type(text) == "string" then
    text = match(c_string(text), "^(.-)[\r\n]*$")
    if not rawget(value, "ignore_error_stats_update") then
      python.count_error(text)
    end
    insert(parts, "-" .. one_line(text) .. "\r\n")
    return
  end
  text = rawget(value, "ok")
  if type(text) == "string" then
    insert(parts, "+" .. one_line(c_string(text)) .. "\r\n")
    return
  end
  local number = rawget(value, "double")
  if type(number) == "number" then
    text = number == 0 and 1 / number < 0 and "-0" or python_double(number)
    if resp == 3 then
      insert(parts, "," .. text .. "\r\n")
    else
      append_bulk(text, parts)
    end
    return
  end
  text = rawget(value, "big_number")
  if type(text) == "string" then
    text = one_line(text)
    if resp == 3 then
      insert(parts, "(" .. text .. "\r\n")
    else
      append_bulk(text, parts)
    end
    return
  end
  local inner = rawget(value, "verbatim_string")
  if type(inner) == "table" then
    local kind = rawget(inner, "format")
    text = rawget(inner, "string")
    if type(kind) == "string" and type(text) == "string" then
      if resp == 3 then
        kind = sub(c_string(kind) .. "   ", 1, 3)
        insert(parts, format("=%d\r\n%s:", #text + 4, kind))
        insert(parts, text)
        insert(parts, "\r\n")
      else
        append_bulk(text, parts)
      end
      return
    end
  end
  inner = rawget(value, "map")
  if type(inner) == "table" then
    return append_pairs(inner, parts, resp, depth + 1)
  end
  inner = rawget(value, "set")
  if type(inner) == "table" then
    return append_set(inner, parts, resp, depth + 1)
  end
  return append_array(value, parts, resp, depth)
end

function append(value, parts, resp, depth)
  local kind = type(value)
  if depth > MAX_REPLY_DEPTH then
    insert(parts, "-ERR reached lua stack limit\r\n")
  elseif kind == "string" then
    local size = #value
    insert(parts, format("$%d\r\n", size))
    insert(parts, value)
    insert(parts, "\r\n")
  elseif kind == "number" then
    insert(parts, format(":%d\r\n", value))
  elseif kind == "table" then
    append_table(value, parts, resp, depth + 1)
  elseif kind == "boolean" then
    if script_resp == 2 then
      insert(parts, value and ":1\r\n" or resp == 3 and "_\r\n" or "$-1\r\n")
    elseif resp == 3 then
      insert(parts, value and "#t\r\n" or "#f\r\n")
    else
      insert(parts, value and ":1\r\n" or ":0\r\n")
    end
  else
    insert(parts, resp == 3 and "_\r\n" or "$-1\r\n")
  end
end

local REPLY, FAILURE, FATAL = 1, 2, 3

local settle

local function finished(resp, ok, value)
  if killed then
    ok, value = false, killed
  end
  if killed or has_coroutines then
    settle()
  end
  if not ok then
    if type(value) ~= "table" then
      collectgarbage() -- out of memory, most likely: what follows needs some
      return tostring(value), FATAL
    end
    local text, source, line = value.err, value.source, value.line
    text = is_text(text) and c_string(tostring(text)) or "ERR unknown error"
    if is_text(source) and is_text(line) then
      return text, FAILURE, value.ignore_error_stats_update == true, c_string(tostring(source)) .. ":" .. line
    end
    return text, FAILURE, value.ignore_error_stats_update == true
  end
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "number" then
    return format(":%d\r\n", value), REPLY
  end
  local parts = {}
  append(value, parts, resp, 1)
  return concat(parts), REPLY
end

function settle()
  killed = nil
  if has_coroutines then
    has_coroutines = false
    for thread in next, hooks do
      if not rawequal(thread, main_hook) then
        hooks[thread] = nil
      end
    end
  end
end

local function run(script, resp)
  environment, script_resp = script_environment, 2
  return finished(resp, xpcall(script, handler))
end

local cage = { settle = settle }

function cage.run_without_keys(script, resp, ...)
  script_globals.KEYS, script_globals.ARGV = {}, { ... }
  return run(script, resp)
end

function cage.run_with_key(script, resp, key, ...)
  script_globals.KEYS, script_globals.ARGV = { key }, { ... }
  return run(script, resp)
end

function cage.run_with_two_keys(script, resp, first, second, ...)
  script_globals.KEYS, script_globals.ARGV = { first, second }, { ... }
  return run(script, resp)
end

function cage.run_with_tables(script, resp, keys, arguments)
  script_globals.KEYS, script_globals.ARGV = keys, arguments
  return run(script, resp)
end

local called, called_keys, called_arguments

local function invoke()
  return called(called_keys, called_arguments)
end

function cage.call_function(callback, resp, keys, arguments)
  called, called_keys, called_arguments = callback, keys, arguments
  environment, script_resp = function_environment, 2
  return finished(resp, xpcall(invoke, handler))
end

function cage.compile_script(source)
  return compile(source, "@user_script", script_environment)
end

function cage.load_library(source)
  local body, problem = compile(source, "@user_function", function_environment)
  if not body then
    return nil, "Error compiling function: " .. problem
  end
  callbacks = {}
  environment = function_environment
  getmetatable(function_environment).__index = loading_globals
  local ok, failure = pcall(body)
  getmetatable(function_environment).__index = function_globals
  local found = callbacks
  callbacks = nil
  if ok and not killed then
    return found, ""
  end
  failure = killed or failure
  local text
  if type(failure) == "table" then
    text = is_text(failure.err) and c_string(tostring(failure.err)) or "ERR unknown error"
  else
    text = "ERR " .. c_string(tostring(failure))
  end
  return nil, "Error registering functions: " .. text
end

function cage.set_memory_limit(bytes)
  memory_limit = bytes and bytes / 1024 or math.huge
end

-- Nothing of stock Lua stays in reach: also what is found without an environment of ours finds an empty table.
local globals = getfenv(0)
for name in pairs(copy(globals)) do
  globals[name] = nil
end

return cage
