-- The debugger's part inside Lua: it stops scripts at their lines, and shows what only Lua can see. The dialogue with
-- the client is Python's (debugger.py).
--
-- Scripts get nothing of the debug library: what is used of it stays in the upvalues here. Nothing of this runs unless a
-- session has begun.

local cage = ...

local error, next, rawequal, select, tonumber, tostring, type =
  error, next, rawequal, select, tonumber, tostring, type
local create, resume, status = coroutine.create, coroutine.resume, coroutine.status
local getinfo, getlocal, sethook = debug.getinfo, debug.getlocal, debug.sethook
local byte, find, format, gmatch, gsub, match, sub =
  string.byte, string.find, string.format, string.gmatch, string.gsub, string.match, string.sub
local concat = table.concat

local HERE, SOURCE = "=cage", "@user_script"
local EVERY = cage.hook_every
local OUT_OF_TIME = "the code takes longer than busy-reply-threshold"

local is_on = false -- a session runs
local is_stepping, is_pausing -- stop at the next line, since the client or the script wants it
local breakpoints = {}
local current_line = 0

-- Values ------------------------------------------------------------------------------------------------------------

local MAX_DEPTH = 10
local TOO_DEEP = "<max recursion level reached! Nested table?>"
local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\a"] = "\\a",
  ["\b"] = "\\b" }

local function escaped(character)
  return ESCAPES[character] or format("\\x%02x", byte(character))
end

local show -- (parts, value, depth, most): appends to parts, whose field `size` counts the bytes

local function add(parts, text)
  parts[#parts + 1] = text
  parts.size = parts.size + #text
end

local function is_list(list)
  local expected = 1
  for key in next, list do
    if key ~= expected then
      return false
    end
    expected = expected + 1
  end
  return true
end

local function show_table(parts, shown, depth, most)
  local listed, separator = is_list(shown), ""
  add(parts, "{")
  for key, value in next, shown do
    if most > 0 and parts.size > most then
      return -- the rest will be cut off
    end
    add(parts, separator)
    if not listed then
      add(parts, "[")
      show(parts, key, depth, most)
      add(parts, "]=")
    end
    show(parts, value, depth, most)
    separator = "; "
  end
  add(parts, "}")
end

function show(parts, value, depth, most)
  local kind = type(value)
  if depth == MAX_DEPTH then
    add(parts, TOO_DEEP)
  elseif kind == "string" then
    if most > 0 and #value > most then
      value = sub(value, 1, most)
    end
    add(parts, '"' .. gsub(value, '[%c\\"\127-\255]', escaped) .. '"')
  elseif kind == "number" then
    add(parts, format("%g", value))
  elseif kind == "boolean" or kind == "nil" then
    add(parts, tostring(value))
  elseif kind == "table" then
    show_table(parts, cage.reals[value] or value, depth + 1, most)
  elseif rawequal(value, cage.libraries.cjson.null) then
    add(parts, '"light-userdata@(nil)"')
  else
    add(parts, '"' .. kind .. "@" .. (match(tostring(value), "0x%x+") or "?") .. '"')
  end
end

local function shown(value, most)
  local parts = { size = 0 }
  show(parts, value, 0, most)
  return concat(parts)
end

-- What the client asks for ------------------------------------------------------------------------------------------

-- In these, `level` is that of the script's function as seen by the one who calls.

local function log_locals(level, most)
  local i, any = 1, false
  local name, value = getlocal(level + 1, i)
  while name do
    if not find(name, "(*temporary)", 1, true) then
      cage.debug_log_value("<value> " .. name .. " = " .. shown(value, most))
      any = true
    end
    i = i + 1
    name, value = getlocal(level + 1, i)
  end
  if not any then
    cage.debug_log("No local variables in the current context.")
  end
end

local function log_variable(level, wanted, most)
  level = level + 1
  local frame = getinfo(level, "S")
  while frame do
    if frame.what ~= "C" and frame.source ~= HERE then
      local i = 1
      local name, value = getlocal(level, i)
      while name do
        if name == wanted then
          cage.debug_log_value("<value> " .. shown(value, most))
          return
        end
        i = i + 1
        name, value = getlocal(level, i)
      end
    end
    level = level + 1
    frame = getinfo(level, "S")
  end
  if wanted == "KEYS" or wanted == "ARGV" then
    cage.debug_log_value("<value> " .. shown(cage.script_globals[wanted], most))
  else
    cage.debug_log("No such variable.")
  end
end

local function log_trace(level)
  level = level + 1
  local introduction = "In "
  local frame = getinfo(level, "Snl")
  while frame do
    local below = getinfo(level + 1, "S")
    if frame.source == SOURCE then
      local name = below and below.source ~= HERE and frame.name or "top level"
      cage.debug_log_frame(introduction .. name .. ":", frame.currentline)
    end
    introduction = "From "
    level = level + 1
    frame = getinfo(level, "Snl")
  end
end

-- Within a hook no other runs, and code that never ends could not be stopped: a thread has its own.
local function look_at_time()
  if cage.debug_is_overdue() then
    error(OUT_OF_TIME, 0)
  end
end

local function evaluate(code, most)
  local compiled = cage.compile("return " .. code, "@ldb_eval", cage.script_environment)
  local problem
  if not compiled then
    compiled, problem = cage.compile(code, "@ldb_eval", cage.script_environment)
  end
  if not compiled then
    cage.debug_log("<error> " .. problem)
    return
  end
  cage.debug_restarts()
  local thread = create(compiled)
  sethook(thread, look_at_time, "", EVERY)
  local ok, value = resume(thread)
  if status(thread) == "suspended" then
    ok, value = false, "attempt to yield across metamethod/C-call boundary"
  end
  if ok then
    cage.debug_log_value("<retval> " .. shown(value, most))
  else
    local text = cage.is_text(value) and gsub(tostring(value), cage.OWN_POSITION, "")
    cage.debug_log("<error> " .. (text or "(error object is not a string)"))
  end
end

-- Stopping ----------------------------------------------------------------------------------------------------------

local function take_breakpoints(lines)
  breakpoints = {}
  for line in gmatch(lines, "%d+") do
    breakpoints[tonumber(line)] = true
  end
end

-- Gives false if the client is gone. To be called by the hook alone: the script's function is at level 3.
local function interact(line, reason)
  local action, given, most = cage.debug_stopped(line, reason)
  while true do
    if action == "step" or action == "continue" then
      is_stepping = action == "step"
      take_breakpoints(given)
      return true
    elseif action == "abort" then
      error(cage.error_table(given))
    elseif action == "locals" then
      log_locals(3, most)
    elseif action == "variable" then
      log_variable(3, given, most)
    elseif action == "trace" then
      log_trace(3)
    elseif action == "evaluate" then
      evaluate(given, most)
    else
      breakpoints = {}
      return false
    end
    action, given, most = cage.debug_done()
  end
end

local function on_event(event, line)
  if not is_on then
    cage.hook_itself() -- of a thread that has outlived its session
    return
  end
  if getinfo(2, "S").source ~= SOURCE then
    return
  end
  local reason
  if event == "line" then
    current_line = line
    if is_pausing then
      reason = "redis.breakpoint() called"
    elseif breakpoints[line] then
      reason = "break point"
    elseif is_stepping then
      reason = "step over"
    end
  elseif cage.debug_is_overdue() then
    line = getinfo(2, "l").currentline
    reason = "timeout reached, infinite loop?"
  end
  if reason then
    is_stepping, is_pausing = false, false
    local is_there = interact(line, reason)
    if not is_there and event ~= "line" then
      error(cage.error_table("timeout during Lua debugging with client closing connection"))
    end
  end
end

-- What scripts call -------------------------------------------------------------------------------------------------

local debugged = {}

function debugged.call(...)
  return cage.reply_or_raise(cage.debug_call(...))
end

function debugged.pcall(...)
  return cage.reply(cage.debug_call(...))
end

function debugged.breakpoint()
  is_pausing = true
  return true
end

function debugged.debug(...)
  local parts = {}
  for i = 1, select("#", ...) do
    parts[i] = shown((select(i, ...)), 0)
  end
  cage.debug_log(format("<debug> line %d: ", current_line) .. concat(parts, ", "))
end

-- Errors that redis.* makes are shown as those of commands are.
local function error_made(text)
  if is_stepping then
    cage.debug_log("<error> " .. text)
  end
end

-- A session ---------------------------------------------------------------------------------------------------------

local undebugged = {}
local watch = cage.watch

local function watch_lines(thread)
  watch(thread)
  sethook(thread, on_event, "l", EVERY)
end

function cage.begin_debugging()
  is_on, is_stepping, is_pausing, breakpoints, current_line = true, true, false, {}, 0
  for name, called in next, debugged do
    undebugged[name] = cage.redis[name]
    cage.redis[name] = called
  end
  cage.watch, cage.error_made = watch_lines, error_made
  sethook(on_event, "l", EVERY)
end

function cage.end_debugging()
  is_on = false
  for name, called in next, undebugged do
    cage.redis[name] = called
  end
  cage.watch, cage.error_made = watch, nil
  sethook(cage.hook_itself, "", EVERY)
end
