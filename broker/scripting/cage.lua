-- The cage: what a script may reach, built inside Lua before any script runs.
--
-- Stock Lua 5.1 has no read-only tables, so a library is seen through a proxy: an empty table whose metatable looks
-- names up in the real one, which no script ever holds. What could write into the proxy itself or read through it
-- (rawset, table.insert, setmetatable, next, ...) knows the proxies. Everything here lives in upvalues: when this
-- chunk has run, the global table of the Lua state is empty, and functions find their names in environments.
--
-- Called with one table, `cage`: Python's callables, already C functions, and constants. The other cage_*.lua files of
-- this folder are its parts; each is called with the same table, takes from it what it needs, and adds what it makes. Gives
-- the table of the functions that Python calls.

local cage = ...

local error, getmetatable, loadstring, next, pairs, pcall, rawequal, select =
  error, getmetatable, loadstring, next, pairs, pcall, rawequal, select
local setfenv, setmetatable, tostring, type, xpcall = setfenv, setmetatable, tostring, type, xpcall
local collectgarbage, concat = collectgarbage, table.concat
local byte, find, format, match, sub = string.byte, string.find, string.format, string.match, string.sub
local getinfo, sethook, getregistry = debug.getinfo, debug.sethook, debug.getregistry
local clock, getfenv = os.clock, getfenv

local HOOK_EVERY, HOOK_CLOSELY = cage.hook_every, cage.hook_closely -- instructions between two looks at the clock
local HERE = "=cage" -- the name of all parts' chunks
local SELECT = cage.select_name -- how select is found by functions that bytecode.py has made
local OUT_OF_MEMORY = "not enough memory" -- Lua's error

cage.OWN_POSITION = "^cage:%d+: " -- of one of our own lines: it says nothing to a script
cage.READ_ONLY = "Attempt to modify a readonly table"

loadstring(cage.parts.cage_border, HERE)(cage)
local python_hook = cage.hook

-- Texts and errors --------------------------------------------------------------------------------------------------

local function c_string(text)
  return match(text, "^[^%z]*")
end

-- An error as redis.pcall gives it. `text` with a leading `-` carries its own code; any other gets ERR.
local function error_table(text)
  if cage.error_made then
    cage.error_made(text)
  end
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

-- As the C function would complain in whose place the function at `level` (1: who calls this) - 1 stands: by the name
-- that its caller knows it by.
local function bad_argument(n, name, complaint, level)
  local called = getinfo(level, "n")
  if called and called.name then
    name = called.name
    if called.namewhat == "method" then
      n = n - 1
      if n == 0 then
        error(format("calling '%s' on bad self (%s)", name, complaint), level + 1)
      end
    end
  else
    local caller = getinfo(level + 1, "S")
    name = caller and caller.what == "C" and "?" or name
  end
  error(format("bad argument #%d to '%s' (%s)", n, name, complaint), level + 1)
end

local function is_text(value)
  return type(value) == "string" or type(value) == "number"
end

cage.c_string, cage.error_table, cage.bad_argument, cage.is_text = c_string, error_table, bad_argument, is_text

-- Killing -----------------------------------------------------------------------------------------------------------

-- Why the script must end. Whatever catches errors (pcall, xpcall, resume, load) raises this again, so that no loop
-- around them survives. It is a text, since it may reach lupa, and was one when it came: nothing is made of it while
-- the script's memory may be full.
local killed = nil

local is_settling = false -- between two runs nothing is interrupted

-- marks[1] says that the run has left something for `settle`: where it has not, the border in C spares the call.
local marks = { false } -- its place is there already: the hook must not need memory
cage.marks = marks

-- What Python says of the script that runs: it is asked each time, and says nothing once the run is over.
local function look()
  killed = python_hook()
  if killed then
    error(killed, 0)
  end
end

-- Single instructions can take long: Lua hashes few of a long string's characters, and looks through all strings that
-- are alike in these. Where the instructions between two hooks took long, they are made fewer for the rest of the run.
local is_watched_closely, hooked_at, looked_at = false, nil, 0

local function hook()
  if is_settling then
    return
  end
  marks[1] = true
  local now = clock()
  if hooked_at and now - hooked_at > cage.long_between_hooks and not is_watched_closely then
    is_watched_closely = true
    sethook(cage.hook_itself, "", HOOK_CLOSELY)
  end
  hooked_at = now
  if killed or now - looked_at >= cage.look_every or now < looked_at then
    looked_at = now
    look()
  end
end

cage.hook_itself = hook
sethook(hook, "", HOOK_EVERY)

-- Lua keeps hooks in a table by the addresses of threads, which forgets none. A coroutine may outlive its run in an
-- upvalue of a library, and must not run without its hook then: entries go only when there are many, all at once, and
-- those threads that still live get theirs back.
local MANY_THREADS = 1000
local many = MANY_THREADS
local hooks, main_thread
for _, entry in pairs(getregistry()) do
  if type(entry) == "table" then
    for thread, its_hook in pairs(entry) do
      if rawequal(its_hook, hook) then
        hooks, main_thread = entry, thread
      end
    end
  end
end
local threads, watched = setmetatable({}, { __mode = "k" }), 0

function cage.watch(thread)
  if not threads[thread] then
    threads[thread] = true
    watched = watched + 1
    marks[1] = true
  end
  sethook(thread, hook, "", HOOK_EVERY)
end

local function forget_dead_threads()
  cage.lift() -- a thread must not lose its hook because there is no memory for it
  collectgarbage()
  for thread in next, hooks do
    if not rawequal(thread, main_thread) then
      hooks[thread] = nil
    end
  end
  watched = 0
  for thread in next, threads do
    sethook(thread, hook, "", HOOK_EVERY)
    watched = watched + 1
  end
  many = MANY_THREADS + 2 * watched
  cage.restore()
end

function cage.is_killed()
  return killed
end

-- To be called with each error that is caught. Where memory ended the hook may not have been able to ask: it is asked
-- for here, where more may be free, or the error goes on.
function cage.stop_if_killed(problem)
  if problem == OUT_OF_MEMORY then
    look()
  elseif killed then
    error(killed, 0)
  end
end

-- Read-only views ---------------------------------------------------------------------------------------------------

local reals = {} -- proxy -> the table behind it

local function refuse_write()
  error(cage.READ_ONLY, 2)
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

local valkeys = {} -- by its globals: what Valkey calls `server`, beside the names that Redis has

local function nonexistent(names, name)
  if name == SELECT then
    return select
  elseif name == "server" and valkeys[names] then
    return valkeys[names]
  end
  if type(name) ~= "string" and type(name) ~= "number" then
    error("Second argument to luaProtectedTableError must be a string or number", 2)
  end
  error("Script attempted to access nonexistent global variable '" .. c_string(tostring(name)) .. "'", 2)
end

local names_known = { __index = nonexistent }

cage.reals, cage.view, cage.copy, cage.names_known = reals, view, copy, names_known

-- Parts -------------------------------------------------------------------------------------------------------------

local environment -- the environment of the script that runs
local environments = {} -- the tables that scripts see as _G

function cage.environment()
  return environment
end

function cage.is_environment(value)
  return environments[value]
end

for _, name in pairs({ "cage_base", "cage_libraries", "cage_replies", "cage_api", "cage_registering", "cage_debugger" }) do
  loadstring(cage.parts[name], HERE)(cage)
end

-- Environments ------------------------------------------------------------------------------------------------------

local function nothing_but(names)
  return setmetatable(names, names_known)
end

local libraries = {
  bit = view(cage.libraries.bit),
  cjson = view(cage.libraries.cjson),
  cmsgpack = view(cage.libraries.cmsgpack),
  struct = view(cage.libraries.struct),
  coroutine = view(cage.coroutine),
  math = view(cage.math),
  os = view({ clock = clock }),
  string = view(cage.string),
  table = view(cage.table),
}

local string_metatable = getmetatable("")
string_metatable.__index = cage.string
string_metatable.__metatable = view({ __index = libraries.string })

-- The names that scripts see, behind the table they see as _G.
local function make_globals(its_redis)
  local globals = copy(cage.base)
  for name, library in pairs(libraries) do
    globals[name] = library
  end
  globals.redis = its_redis
  nothing_but(globals)
  valkeys[globals] = its_redis
  local proxy = view(globals)
  globals._G = proxy
  environments[proxy] = true
  return globals, proxy
end

local script_globals, script_environment = make_globals(view(cage.redis))
cage.script_globals, cage.script_environment = script_globals, script_environment
local function_globals, function_environment = make_globals(view(cage.redis_of_functions))
local loading_redis = view(nothing_but(cage.loading_redis))
local loading_globals = nothing_but({ redis = loading_redis })
valkeys[loading_globals] = loading_redis

-- Running -----------------------------------------------------------------------------------------------------------

-- Puts the place where an error was raised beside it, as Redis tells it: the innermost frame of the script's own.
local function handler(problem)
  problem = killed or problem -- which coroutine.wrap puts its own place before
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
    problem = tostring(type(problem) == "userdata" and cage.presentable(problem) or problem)
    local from, to = find(problem, cage.OWN_POSITION)
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

local REPLY, FAILURE, FATAL = 1, 2, 3

local called, called_keys, called_arguments

-- Lets go of what a run was given, whatever it has come to.
local function settle()
  is_settling, killed = true, nil
  cage.script_resp = 2
  script_globals.KEYS, script_globals.ARGV = nil, nil
  called, called_keys, called_arguments = nil, nil, nil
  if watched > many then
    forget_dead_threads()
  end
  hooked_at, marks[1] = nil, false
  if is_watched_closely then
    is_watched_closely = false
    sethook(hook, "", HOOK_EVERY)
  end
  is_settling = false
end

-- The outcome of a run, in plain values: a bulk string, or what there is and which of the above it is.
local function finished(resp, ok, value)
  if killed then
    cage.restore() -- it may have been stopped just before that was done
    if ok or type(value) ~= "table" then
      ok, value = false, error_table(killed) -- the handler has found no memory to say where it was
    end
  end
  local script_resp = cage.script_resp
  settle()
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
  cage.script_resp = script_resp
  cage.append(value, parts, resp, 1)
  cage.script_resp = 2
  return concat(parts), REPLY
end

local function run(script, resp)
  return finished(resp, xpcall(script, handler))
end

cage.settle = settle

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

local function invoke()
  return called(called_keys, called_arguments)
end

function cage.call_function(callback, resp, keys, arguments)
  called, called_keys, called_arguments = callback, keys, arguments
  return finished(resp, xpcall(invoke, handler))
end

-- What Python gets of a function: itself, by lupa, or the number by which the border in C has kept it.
local in_c = cage.in_c
local function for_python(compiled, problem)
  if compiled and in_c then
    return in_c.keep(compiled), problem
  end
  return cage.leaving(compiled, problem)
end

if in_c then
  in_c.connect(handler, finished, script_globals, marks)
end

function cage.compile_script(source)
  environment = script_environment
  return for_python(cage.compile(source, "@user_script", script_environment))
end

function cage.load_library(source)
  local body, problem = cage.compile(source, "@user_function", function_environment)
  if not body then
    return nil, "Error compiling function: " .. problem
  end
  environment = function_environment
  getmetatable(function_environment).__index = loading_globals
  local found, ok, failure = cage.registering(pcall, body)
  getmetatable(function_environment).__index = function_globals
  failure = killed or failure
  ok, killed = ok and not killed, nil
  if ok then
    if in_c then
      for name, callback in next, found do
        found[name] = in_c.keep(callback)
      end
    end
    return cage.leaving(found, "")
  end
  local text
  if type(failure) == "table" then
    text = is_text(failure.err) and c_string(tostring(failure.err)) or "ERR unknown error"
  else
    text = "ERR " .. c_string(tostring(failure))
  end
  return nil, "Error registering functions: " .. text
end

function cage.extend(list, more)
  local size = #list
  for i = 1, #more do
    list[size + i] = more[i]
  end
end

-- Nothing of stock Lua stays in reach: also what is found without an environment of ours finds an empty table.
local globals = getfenv(0)
for name in pairs(copy(globals)) do
  globals[name] = nil
end

return cage
