-- The base library and the coroutines as scripts get them: what catches errors lets a killed script go, what writes or
-- reads tables knows the read-only views, and what compiles text compiles nothing else.

local cage = ...

local assert, error, gcinfo, getmetatable, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select =
  assert, error, gcinfo, getmetatable, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select
local setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall =
  setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall
local collectgarbage, raw_metatable = collectgarbage, debug.getmetatable
local byte, dump, format, gsub, match = string.byte, string.dump, string.format, string.gsub, string.match
local concat, insert = table.concat, table.insert
local create, resume, running, status, wrap, yield =
  coroutine.create, coroutine.resume, coroutine.running, coroutine.status, coroutine.wrap, coroutine.yield

local bad_argument, c_string = cage.bad_argument, cage.c_string
local reals, names_known, view = cage.reals, cage.names_known, cage.view
local copy, READ_ONLY, OWN_POSITION = cage.copy, cage.READ_ONLY, cage.OWN_POSITION

local MAX_STACK = 8000 -- values of a C function of Lua's: what unpack is given, and what it gives

local function type_of(...)
  return select("#", ...) == 0 and "no value" or type((...))
end

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

local function need_table(name, ...)
  if type((...)) ~= "table" then
    bad_argument(1, name, "table expected, got " .. type_of(...), 3)
  end
end

function base.rawset(...)
  if reals[(...)] then
    error(READ_ONLY, 0)
  end
  need_table("rawset", ...)
  return rawset(...)
end

function base.rawget(...)
  local real = reals[(...)]
  if real then
    return rawget(real, select(2, ...))
  end
  need_table("rawget", ...)
  return rawget(...)
end

function base.next(...)
  local real = reals[(...)]
  if real then
    return next(real, select(2, ...))
  end
  need_table("next", ...)
  return next(...)
end

function base.pairs(...)
  local real = reals[(...)]
  if real then
    return next, copy(real)
  end
  need_table("pairs", ...)
  return pairs(...)
end

function base.setmetatable(...)
  if reals[(...)] then
    error(READ_ONLY, 0)
  end
  need_table("setmetatable", ...)
  local owner, metatable = ...
  if type(metatable) ~= "table" and (metatable ~= nil or select("#", ...) < 2) then
    bad_argument(2, "setmetatable", "nil or table expected", 2)
  end
  local present = raw_metatable(owner)
  if present and rawget(present, "__metatable") ~= nil then
    error("cannot change a protected metatable", 2)
  end
  return setmetatable(owner, metatable)
end

local metatable_of_globals = view(names_known)

function base.getmetatable(...)
  local owner = ...
  if reals[owner] then
    return cage.is_environment(owner) and metatable_of_globals
  elseif rawequal(owner, cage.libraries.cjson.null) then
    return nil -- it has one, to be shown as Redis's is
  elseif select("#", ...) == 0 then
    bad_argument(1, "getmetatable", "value expected", 2)
  end
  return getmetatable(owner)
end

function base.unpack(...)
  need_table("unpack", ...)
  local list, first, last = ...
  if last == nil then
    last = #list
  end
  if type(last) == "number" and last - (tonumber(first) or 1) + 1 + select("#", ...) > MAX_STACK then
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

-- Nor may it ever hold an object of Python's, such as an exception that lupa has passed on.
local function presentable(problem)
  if type(problem) == "string" then
    return (gsub(problem, OWN_POSITION, ""))
  elseif type(problem) == "userdata" and not rawequal(problem, cage.libraries.cjson.null) then
    return "internal error"
  end
  return problem
end

local function failure(problem)
  cage.stop_if_killed(problem)
  problem = presentable(problem)
  if type(problem) == "table" then
    -- As scripts written for old versions of Redis expect: the text alone. Without one there are three values.
    local text = problem.err
    if type(text) == "string" or type(text) == "number" then
      return false, text
    end
    return false, problem, text
  end
  return false, problem
end

local function caught(ok, ...)
  if ok then
    return ok, ...
  end
  return failure((...))
end

function base.pcall(...)
  return caught(pcall(...))
end

local function caught_as_it_is(ok, ...)
  if ok then
    return ok, ...
  end
  cage.stop_if_killed((...))
  return ok, presentable((...)), select(2, ...)
end

function base.xpcall(...)
  local body, handle = ...
  if select("#", ...) < 2 then
    bad_argument(2, "xpcall", "value expected", 2)
  end
  -- The handler of an error that the hook raises runs with hooks off: one that never ended could not be stopped.
  return caught_as_it_is(xpcall(body, function(problem)
    if cage.is_killed() then
      return problem
    end
    return handle(presentable(problem))
  end))
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
  local code = cage.patch(dump(compiled))
  if not code then
    return nil, "unknown format of compiled code"
  end
  compiled, problem = loadstring(code, name)
  if not compiled then
    return nil, problem
  end
  return setfenv(compiled, environment), name
end

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
  local compiled, problem = compile(source, chunk_name(name, source), cage.environment())
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
  local compiled, problem = compile(concat(pieces), chunk_name(name, "=(load)"), cage.environment())
  if compiled then
    return compiled
  end
  return nil, problem
end

-- Coroutines: each has a hook of its own ----------------------------------------------------------------------------

local safe_coroutine = { running = running, status = status, yield = yield }

local function hooked(thread)
  cage.watch(thread)
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
    cage.watch(running())
    return body(...)
  end)
end

cage.base, cage.coroutine, cage.compile, cage.presentable = base, safe_coroutine, compile, presentable
