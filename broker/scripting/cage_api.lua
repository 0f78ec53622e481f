-- redis.*: what scripts call.

local cage = ...

local error, pairs, select = error, pairs, select
local tonumber, tostring, type = tonumber, tostring, type
local byte, concat, floor, insert = string.byte, table.concat, math.floor, table.insert

local decode, error_table = cage.decode, cage.error_table
local python_call, call_many, fetch, number_text = cage.call, cage.call_with_many, cage.fetch, cage.number

-- What Python gives for a command's reply: one plain value, or a value and what it is.
local STATUS, ERROR, ARRAY, ENCODED, HELD = 1, 2, 3, 4, 5

local reply, reply_or_raise

function reply(value, kind, ...)
  if kind == nil then
    return value
  elseif kind == STATUS then
    return { ok = value }
  elseif kind == ARRAY then
    return { ... }
  elseif kind == ENCODED then
    return (decode(value, 1))
  elseif kind == HELD then
    return reply(fetch())
  end
  return { err = value, ignore_error_stats_update = true }
end

function reply_or_raise(value, kind, ...)
  if kind == nil then
    return value
  elseif kind == STATUS then
    return { ok = value }
  elseif kind == ARRAY then
    return { ... }
  elseif kind == ENCODED then
    return (decode(value, 1))
  elseif kind == HELD then
    return reply_or_raise(fetch())
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
      text = number_text(text)
    elseif type(text) ~= "string" then
      return "ERR " .. NOT_TEXTS, ERROR
    end
    texts[i], lengths[i] = text, #text
  end
  return call_many(concat(lengths, " "), concat(texts))
end

local redis = {}

function redis.call(...)
  if select("#", ...) > FEW then
    return reply_or_raise(call_with_many(...))
  end
  return reply_or_raise(python_call(...))
end

function redis.pcall(...)
  if select("#", ...) > FEW then
    return reply(call_with_many(...))
  end
  return reply(python_call(...))
end

if cage.in_c and cage.in_c.call then
  redis.call, redis.pcall = cage.in_c.call, cage.in_c.pcall
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
  return cage.sha1hex(tostring(text))
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
  cage.log(level, concat(texts))
end

cage.script_resp = 2 -- what redis.setresp has chosen

function redis.setresp(...)
  if select("#", ...) ~= 1 then
    complain("redis.setresp() requires one argument.")
  end
  local version = truncated((...))
  if version ~= 2 and version ~= 3 then
    complain("RESP version must be 2 or 3.")
  end
  cage.script_resp = version
  cage.marks[1] = true
  cage.setresp(version)
end

function redis.set_repl(...)
  if select("#", ...) ~= 1 then
    complain("redis.set_repl() requires one argument.")
  end
  local flags = truncated((...))
  if not (flags >= 0 and flags <= 3) then
    complain("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
  end
  cage.set_repl(flags)
end

function redis.acl_check_cmd(...)
  local answer, problem = cage.acl_check_cmd(...)
  if problem then
    complain(answer)
  end
  return answer
end

local constants = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = cage.version, REDIS_VERSION_NUM = cage.version_number,
}
for name, value in pairs(constants) do
  redis[name] = value
end

-- Functions get these, scripts some more.
cage.redis_of_functions = cage.copy(redis)

function redis.breakpoint()
  return false
end

function redis.debug() end

function redis.replicate_commands()
  return true
end

cage.redis, cage.complain, cage.constants = redis, complain, constants
cage.reply, cage.reply_or_raise = reply, reply_or_raise
