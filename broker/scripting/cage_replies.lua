-- Replies, both ways: what a command has answered as the script sees it, and what a script returns as it is encoded.
-- Here is what bridge.py leaves to Lua: replies that are more than one plain value or a short flat array.

local cage = ...

local next, rawget, tonumber, type = next, rawget, tonumber, type
local find, format, gsub, match, sub = string.find, string.format, string.gsub, string.match, string.sub
local insert = table.insert

local c_string = cage.c_string
local count_error, double_text, read_double = cage.count_error, cage.double, cage.read_double

local MAX_DEPTH = 7995 -- tables within each other in a reply: where Redis's Lua stack ends

-- What commands answer ----------------------------------------------------------------------------------------------

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
    return { double = read_double(line) }
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

-- What scripts return -----------------------------------------------------------------------------------------------

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
  return (gsub(text, "[\r\n]", " "))
end

local function append_table(value, parts, resp, depth)
  local text = rawget(value, "err")
  if type(text) == "string" then
    text = match(c_string(text), "^(.-)[\r\n]*$")
    local was_counted = rawget(value, "ignore_error_stats_update")
    count_error(text, was_counted ~= nil and was_counted ~= false)
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
    text = number == 0 and 1 / number < 0 and "-0" or double_text(number)
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
  if depth > MAX_DEPTH then
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
    if cage.script_resp == 2 then
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

cage.decode, cage.append = decode, append
