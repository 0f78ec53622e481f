"""cjson, cmsgpack, struct and bit against the reference: every function at the edges of its arguments."""

import pytest

from tests.oracle.harness import AnyCommand, same
from tests.oracle.lua_snippets import expressions, script

CLEANUP = ("SCRIPT FLUSH",)  # which also makes all settings of cjson what they were


def agree(texts: list[str], *arguments: bytes) -> None:
    same(list(expressions(texts, *arguments)), resp=(2,), cleanup=CLEANUP)


NUMBERS = ["0", "0*-1", "1", "-1", "31", "-32", "-33", "127", "128", "255", "256", "-128", "-129", "32767", "65535",
           "65536", "2^31-1", "2^31", "-2^31", "-2^31-1", "2^32-1", "2^32", "2^32+5", "2^51", "2^51+3", "-2^51",
           "2^52+1", "2^53", "-2^53", "2^53+2", "2^62", "2^63-1024", "2^63", "-2^63", "-2^63-2048", "2^64-2048",
           "2^64", "1e100", "-1e300", "0.5", "1.5", "2.5", "-0.5", "-1.5", "0.1", "1/3", "123456789012345", "1e15",
           "1e-7", "2^-149", "2^-150", "1.0000001*2^-150", "2^-1074", "3.4028234663852886e38", "3.4028235677973366e38",
           "3.4028235677973362e38", "16777217", "16777216.5", "1/0", "-1/0", "0/0", "-(0/0)"]  # fmt: skip
OTHERS = ["nil", "true", "false", "''", "'abc'", "' 12 '", "'0x10'", "{}", "cjson.null", "tostring"]

BIT_UNARY = ["tobit", "bnot", "bswap", "tohex"]
BIT_BINARY = ["band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "tohex"]


def test_bit_of_one() -> None:
    agree([f"bit.{name}({value})" for name in BIT_UNARY for value in NUMBERS + OTHERS])


@pytest.mark.parametrize("name", BIT_BINARY)
def test_bit_of_two(name: str) -> None:
    values = [value for value in NUMBERS if "e" not in value] + OTHERS
    agree([f"bit.{name}({a}, {b})" for a in values[::2] for b in values[::3]])


def test_bit_arguments() -> None:
    forms = ["", "1", "1, nil", "1, 2, nil", "1, 'x', 'y'", "'z', 'x', 'y'", "255, 60, 24, 3", "1, 2, 3, 4, 5, {}"]
    agree([f"bit.{name}({form})" for name in {*BIT_UNARY, *BIT_BINARY} for form in forms]
          + [f"bit:{name}({form})" for name in {*BIT_UNARY, *BIT_BINARY} for form in forms]
          + [f"pcall(bit.{name}, {{}})" for name in {*BIT_UNARY, *BIT_BINARY}])  # fmt: skip


SIZED = [
    f"{letter}{size}" for letter in "iI" for size in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 17, 31, 32, 33)
]
OPTIONS = ["b", "B", "h", "H", "l", "L", "T", "i", "I", "f", "d", *SIZED]


@pytest.mark.parametrize("order", ["<", ">", ""])
def test_struct_packs_numbers(order: str) -> None:
    agree([f"struct.pack('{order}{option}', {number})" for option in OPTIONS for number in NUMBERS])


@pytest.mark.parametrize("order", ["<", ">", ""])
def test_struct_unpacks_numbers(order: str) -> None:
    fills = [b"\xff" * 40, b"\x80" + b"\0" * 39, bytes(range(1, 41)), b"\x7f\xf8" + bytes(38), b"\0" * 8 + b"\xff" * 30]
    fills += [
        bytes.fromhex(text) for text in ("7f800001", "ffa00001", "7ff0000000000001", "fff4000000000123", "00000001")
    ]
    steps: list[AnyCommand] = []
    for fill in fills:
        steps += expressions([f"struct.unpack('{order}{option}', ARGV[1])" for option in OPTIONS], fill)
    steps += expressions([f"struct.unpack('{order}{option}', ('a'):rep({size}))" for option in OPTIONS
                          for size in (0, 1, 2, 3, 4, 7, 8, 9, 31, 32)])  # fmt: skip
    same(steps, resp=(2,), cleanup=CLEANUP)


FORMATS = ["", "  ", "q", "5", "?", "\\200", "!", "!0", "!1", "!3", "!8", "!1024", "!99999999999", "!2147483648",
           "i99999999999", "c", "c0", "c3", "c2147483647", "c2147483648", "s", "s s", "bc0", "b c0", "dc0", "c2c0",
           "sc0", "!8bd", "!8bi3", "!8bi5i7", "!4bd", "!bi16b", "!16bbi12", "!32bi32i5", "!8b c3 i", "!8sbd", "i4q",
           "q i4", "xxx", "<>! bhilLTfd", "BBBB", "i0i0", "b\\0q", "f4", "d8"]  # fmt: skip


def test_struct_formats() -> None:
    values = [
        "1, 2, 3, 4, 5, 6, 7, 8",
        "'a', 'b', 'c'",
        "3, 'abcdefgh', 4",
        "",
        "nil",
        "{}",
        "'10', 'abcdefghijkl'",
        "1",
    ]
    data = ["''", "'a'", "'abc\\0def\\0'", "'\\3abcdefghijklmnop'", "'10abcdefghijklmno'", "('\\0'):rep(40)",
            "'\\0\\0\\0\\0\\0\\0\\240\\127abc'", "'\\0\\0\\0\\0\\0\\0\\8\\64abcdef'"]  # fmt: skip
    agree([f"struct.size('{format_}')" for format_ in FORMATS]
          + [f"struct.pack('{format_}'{value and ', '}{value})" for format_ in FORMATS for value in values]
          + [f"struct.unpack('{format_}', {text})" for format_ in FORMATS for text in data])  # fmt: skip


def test_struct_arguments() -> None:
    offsets = [*OTHERS, "1", "2", "0", "-1", "1.9", "0.5", "'2'", "1000", "2^63", "-2^63", "1/0", "0/0", "-0.5", "2^64"]
    forms = ["", "nil", "1", "{}", "'b'", "'i', nil", "5, 5", "'b', {}", "'b', true", "1.5, 2"]
    agree([f"struct.unpack('{format_}', 'abcdef', {offset})" for format_ in ("", " ", "b", "!4i",
           "s") for offset in offsets]
          + [f"struct.{name}({form})" for name in ("pack", "unpack", "size") for form in forms]
          + [f"struct:{name}({form})" for name in ("pack", "unpack", "size") for form in forms])  # fmt: skip


@pytest.mark.parametrize("count", [7996, 7997, 7998, 8000])
def test_struct_at_the_end_of_the_stack(count: int) -> None:
    text = "#kept({struct.unpack(('%s'):rep(%d), ('a'):rep(9000)%s)})"
    agree(
        [
            text % (option, count - less, more)
            for option in "bx "
            for less in (0, 1)
            for more in ("", ", 1", ", 1, 2, 3")
        ]
    )


HEADERS = [*range(0xC0, 0xE0), 0x00, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x91, 0x9F, 0xA0, 0xA3, 0xBF, 0xE0, 0xFF]
BODIES = [b"", b"\0", b"\xff" * 9, b"\x80" * 9, bytes(20), bytes(range(1, 20)), b"abc" * 30, b"\0\3abcdef", b"\xc0\xc0",
          b"\0\0\0\2abcd\1", b"\x7f\xf8\0\0\0\0\0\1\2", b"\xcb\x7f\xf8\0\0\0\0\0\1"]  # fmt: skip


def test_cmsgpack_reads_every_header() -> None:
    calls = ["unpack(ARGV[1])", "unpack_one(ARGV[1])", "unpack_limit(ARGV[1], 2)", "unpack_limit(ARGV[1], 1, 1)"]
    same([script(["cmsgpack." + call for call in calls],
    bytes([header]) + body) for header in HEADERS for body in BODIES],
         resp=(2,), cleanup=CLEANUP)  # fmt: skip


def test_cmsgpack_writes_every_number() -> None:
    agree([f"cmsgpack.pack({number})" for number in NUMBERS + OTHERS]
          + [f"cmsgpack.unpack(cmsgpack.pack({number}))" for number in NUMBERS + OTHERS])  # fmt: skip


TABLES = ["{}", "{1, 2, 3}", "{1, nil, 3}", "{nil, 2}", "{[0]=1}", "{[1.5]=1}", "{[-1]=1}", "{[5]=1}", "{[10]=1}",
          "{[11]=1}", "{[11]=1, [1]=2}", "{a=1}", "{1, a=1}", "{[true]=1}", "{[{}]=1}", "{[cjson.null]=1}",
          "{cjson.null}", "{[2^31]=1}", "{[2^40]=1}", "{[1/0]=1}", "{[1/0]=1, [3]=2}", "{[1e10]=1, [1]=2}",
          "{[1e10]=1, [5]=2}", "{[2^31-1]=1}", "{[0.5]=1, [1]=2}", "{{}, {{}}, {a={}}}", "{tostring}",
          "{true, false}", "{['a/b\\n']=1}", "{['1']=1, [2]=2}", "{a=1, b=2, c=3, d={e=5}}", "{x=1/0}", "{x=0/0}",
          "{[1e15]=1}", "{[-5]=1}", "{[20]=1, [19]=1}", "setmetatable({}, {__index=function() return 1 end})",
          "setmetatable({[2]=1}, {__index=function() return 9 end})", "setmetatable({}, {__is_cjson_array=true})",
          "setmetatable({1, 2, nil, 4}, {__is_cjson_array=true})", "setmetatable({a=1}, {__is_cjson_array=0})",
          "setmetatable({}, {__metatable=5, __is_cjson_array=true})",
          "setmetatable({}, setmetatable({}, {__index=function() return true end}))",
          "setmetatable({}, setmetatable({}, {__index=function() error('boo') end}))"]  # fmt: skip


def test_cmsgpack_writes_tables() -> None:
    sizes = [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536]
    agree([f"cmsgpack.pack({table})" for table in TABLES]
          + [f"cmsgpack.pack(('x'):rep({size}))" for size in sizes]
          + [f"cmsgpack.pack((function() local t = {{}} for i = 1, {size} do t[i] = i end return t end)())"
             for size in sizes]
          + [f"cmsgpack.pack((function() local t = 1 for i = 1, {depth} do t = {{{slot}t}} end return t end)())"
             for depth in (15, 16, 17, 40) for slot in ("", "a=")])  # fmt: skip


def test_cmsgpack_arguments() -> None:
    values = ["nil", "0", "1", "3", "4", "-1", "1.9", "'2'", "'x'", "{}", "2^31", "2^32+1", "1/0", "0/0", "100", "true"]
    forms = ["", "nil", "12", "{}", "true", "cjson.null", "'\\1', 1, 1, 1", "5, 5"]
    steps: list[AnyCommand] = []
    for data in (b"", b"\1", b"\1\2\3", b"\x93\1\2\3\4", b"\xa3abc\1\xc1", b"\xc1"):
        steps += expressions([f"cmsgpack.unpack_one(ARGV[1], {value})" for value in values]
                             + [f"cmsgpack.unpack_limit(ARGV[1], {value})" for value in values]
                             + [f"cmsgpack.unpack_limit(ARGV[1], {a}, {b})" for a in values for b in values],
                             data)  # fmt: skip
    calls = [
        f"{dot}{name}({form})" for name in ("unpack", "unpack_one", "unpack_limit") for form in forms for dot in ".:"
    ]
    steps += expressions([f"cmsgpack{call}" for call in calls] + [f"cmsgpack.pack({form})" for form in forms])
    same(steps, resp=(2,), cleanup=CLEANUP)


def test_cmsgpack_at_the_end_of_the_stack() -> None:
    calls = ["unpack(ARGV[1])", "unpack_one(ARGV[1])", "unpack_limit(ARGV[1], 7998)", "unpack(ARGV[1], 1, 2)"]
    steps = [
        script([f"#kept({{cmsgpack.{call}}})" for call in calls], bytes(count)) for count in (7997, 7998, 7999, 8000)
    ]
    steps += [script(["type(cmsgpack.unpack(ARGV[1]))"], opening * depth + inner)
              for depth in (3997, 3998, 3999, 4000, 100_000)
              for opening, inner in ((b"\x91", b"\1"), (b"\x91", b"\x90"), (b"\x81\1", b"\x80"), (b"\x81",
              b"\1"))]  # fmt: skip
    steps += expressions([f"#cmsgpack.pack(unpack({{}}, 1, {count}))" for count in (3999, 4000, 4001, 7990)])
    same(steps, resp=(2,), cleanup=CLEANUP)


NUMBER_TEXTS = ["1", "-", "+", "+1", "+x", "--1", "- 1", "-.5", ".5", "1.", "1.e5", "1e", "1e+", "1E-5", "1e400",
                "-1e400", "01", "-01", "00", "0x10", "0X1F", "-0x1f", "0x", "0xg", "0x1.8p3", "0x.8", "0x1p",
                "0x1p-2", "1x", "0e", "-0", "-0.0", "inf", "INF", "Infinity", "infi", "-inf", "+inf", "nan", "NaN",
                "-nan", "nan(", "nan(12)", "nan(-)", "nanx", "123456789012345678901234567890",
                "2.2250738585072014e-308", "4.9e-324", "9007199254740993", "1-2", "1.2.3"]  # fmt: skip
TEXTS = [*NUMBER_TEXTS, "", '"', " ", "{", "}", "[", "]", ",", ":", "n", "nul", "null", "nullx", "NULL", "true",
         "tru", "false", "fals", "i", "I", "N", "1 2", "[1 2]", "[1,]", "[,1]", "[1,,2]", "[1", "[1,", '{"a"',
         '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{,}", "{1:2}", '{"a" 1}', '{"a"::1}', '{"a":1 "b":2}',
         '{"a":1,"a":2}', '{"a":null}', "[null,1,null]", '{"":{"":{}}}', " [ 1 , 2 ] ",
         "[1,\t2,\r3,\r\n4,\t\t[\t]]", "{\t\"a\"\r:\t1\r,\t\"b\":\r2\t}", "[1,\f2]", "\t\n\r[1]\n", "\f1", "[1]x",
         "[1]]", "1,", '"a"b', '"a""b"', '"a', '"\\', '"\\"', '"\\x"', '"\\u"', '"\\u12"', '"\\u123g"',
         '"\\u0041\\u00e9\\u20ac"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ud83d\\n"', '"\\ude00"',
         '"\\ud83d\\u0041"', '"\\uD83D\\uDE00\\uffff\\u0000"', '"\\b\\f\\n\\r\\t\\/\\\\\\""',
         '"a\tb\nc\x01\x7f\xe9"', "'a'", "\xe9", "\xef\xbb\xbf1", '{"k\\u0041":1}', '{"k\\x":1}', '{"k', '{"k\\',
         '{"k":"v\\', '{"k":"a\\u0042c"}', "[ ]", "{ }", "{true:1}", "[}", "{]", "[1:2]", "//x", "#", "true false",
         '"x" "y"', "{}{}", "\0", "\0\0", "1\0", "12\0x", "[1\0]", '"a\0b"', '{"a\0":1}', "tr\0ue", '"\\\0"',
         '"\\u\x000"', '{"a":1\0}', '{"a":\x001}', "-\0", "0x\0"]  # fmt: skip


@pytest.mark.parametrize("invalid_numbers", ["true", "false"])
def test_cjson_decodes(invalid_numbers: str) -> None:
    steps = [script([f"cjson.decode_invalid_numbers({invalid_numbers})"])]
    for form in ("%s", "[%s]", '{"k":%s}', " %s "):
        steps += [script(["cjson.decode(ARGV[1])"], (form % text).encode("latin-1")) for text in TEXTS]
    same(steps, resp=(2,), cleanup=CLEANUP)


@pytest.mark.parametrize("invalid_numbers", ["'off'", "'on'", "'null'"])
def test_cjson_encodes(invalid_numbers: str) -> None:
    strings = ["'a/b\\\\c\\\"d'", "'\\0\\1\\8\\9\\10\\11\\12\\13\\14\\27\\31\\127\\128\\255'"]
    values = [*NUMBERS, *OTHERS, *TABLES, *strings]
    agree([f"cjson.encode_invalid_numbers({invalid_numbers})"]
          + [f"cjson.encode({value})" for value in values]
          + [f"cjson.encode({{{value}}})" for value in values]
          + [f"cjson.encode({{x={value}}})" for value in values])  # fmt: skip


def test_cjson_arguments() -> None:
    forms = ["", "nil", "12.5", "{}", "true", "nil, nil", "'1', '2'", "cjson.null", "tostring"]
    agree([f"cjson{dot}{name}({form})" for name in ("encode", "decode") for form in forms for dot in ".:"
           if (dot, name, form) != (":", "encode", "")]
          + [f"pcall(cjson.{name}, {form or '1, 2'})" for name in ("encode", "decode") for form in forms])  # fmt: skip


SETTINGS = ["encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer",
            "encode_invalid_numbers", "decode_invalid_numbers", "decode_array_with_array_mt",
            "encode_sparse_array"]  # fmt: skip
CHOICES = ["nil", "true", "false", "0", "1", "3", "14", "15", "-1", "'on'", "'off'", "'null'", "'x'", "'on\\0x'",
           "'5'", "{}", "1.9", "2^31", "2^31-1", "2^32+3", "0/0", "1/0", "-2^32+7", "cjson.null", "14.99", "0.99",
           "1, 2", "1, 2, 3, 4"]  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_cjson_settings(name: str) -> None:
    agree([text for choice in CHOICES for text in (f"cjson.{name}({choice})", f"cjson.{name}()")] + [f"cjson:{name}()"])


def test_cjson_number_precision() -> None:
    numbers = ["0.1", "1/3", "123456789.123", "1e20", "2^53", "15", "{[1.2345678901234567]=1.2345678901234567}"]
    agree([text for precision in range(1, 15) for text in (
        f"cjson.encode_number_precision({precision})",
        *(f"cjson.encode({number})" for number in numbers))])  # fmt: skip


def test_cjson_sparse_arrays() -> None:
    ways = ["true", "true, 0", "false, 0, 0", "true, 1, 0", "false, 3, 2", "true, 2147483647, 0", "false, 1, 100"]
    agree([text for way in ways for text in (
        f"cjson.encode_sparse_array({way})",
        *(f"cjson.encode({table})" for table in TABLES if "2^31-1" not in table))])  # fmt: skip


@pytest.mark.parametrize("limit", [1, 5, 1000, 2147483647])
def test_cjson_nesting(limit: int) -> None:
    steps = [script([f"cjson.decode_max_depth({limit})", f"cjson.encode_max_depth({limit})"])]
    for depth in (
        1,
        2,
        5,
        6,
        999,
        1000,
        1001,
        2664,
        2665,
        2666,
        3997,
        3998,
        3999,
        4000,
        7996,
        7997,
        7998,
        7999,
        60_000,
    ):
        for opening, closing, nest in (("[", "]", "{t}"), ('{"a":', "}", "{a=t}"), ('[{"a":', "}]", "{{a=t}}")):
            for inner in ("1", "[]", "{}", ""):
                text = opening * depth + inner + closing * depth
                steps.append(script(["type(cjson.decode(ARGV[1]))"], text.encode()))
            if depth < 9000:
                nested = f"(function() local t = 1 for i = 1, {depth} do t = {nest} end return t end)()"
                steps.append(script([f"#cjson.encode({nested})"]))
    same(steps, resp=(2,), cleanup=CLEANUP)


def test_cjson_marked_arrays() -> None:
    texts = ["[]", '{"a":[]}', "[[],{}]", "[1,[2]]", "{}"]
    agree(["cjson.decode_array_with_array_mt(true)"]
          + [f"cjson.encode(cjson.decode('{text}'))" for text in texts]
          + [f"type(cjson.decode(('['):rep({depth}) .. (']'):rep({depth})))" for depth in (1000, 1001)]
          + ["getmetatable(cjson.decode('[]')) == getmetatable(cjson.decode('[]'))",
             "getmetatable(getmetatable(cjson.decode('[]')))", "getmetatable(cjson.decode('[]'))",
             "getmetatable(cjson.decode('{}'))"])  # fmt: skip


def test_cjson_modules() -> None:
    body = "local c = cjson.new() c.encode_max_depth(3) c.x = 5 return c.encode_max_depth(), c.x, c.new().x"
    agree([f"{library}.{name}" for library in ("cjson", "cmsgpack", "bit", "struct")
           for name in ("_NAME", "_VERSION", "_COPYRIGHT", "_DESCRIPTION")]
          + [f"(function() {body} end)()", "cjson.encode_max_depth()", "cjson.new(1, 2).null == cjson.null",
             "cjson.new().encode({1})"])  # fmt: skip


def test_cjson_null() -> None:
    agree(["cjson.null", "type(cjson.null)", "tostring(cjson.null)", "cjson.null == cjson.decode('null')",
           "cjson.null == nil", "cjson.null == false", "({[cjson.null] = 5})[cjson.decode('[null]')[1]]",
           "cjson.null.x", "cjson.null .. 'x'", "#cjson.null", "cjson.null + 1", "cjson.null()",
           "cjson.null < cjson.null", "pcall(string.format, '%s', cjson.null)",
           "rawequal(cjson.null, cjson.new().null)",
           "not cjson.null"])  # fmt: skip
    same(["EVAL 'return cjson.null' 0", "EVAL 'return {1, cjson.null, 2}' 0",
    "EVAL 'return cjson.decode(ARGV[1])' 0 null",
          "EVAL 'return cjson.decode(ARGV[1])' 0 [1,null,2]", "EVAL 'return redis.call(\"SET\", \"k\", cjson.null)' 0",
          "EVAL 'return redis.pcall(\"SET\", cjson.null, 1)' 0", "EVAL 'error(cjson.null)' 0"])  # fmt: skip


def test_errors_that_a_script_does_not_catch() -> None:
    calls = ["cjson.decode('[')", "cjson.encode(tostring)", "cmsgpack.unpack('\\193')", "cmsgpack.pack()",
             "struct.pack('q')", "struct.unpack('i', '')", "bit.band({})", "cmsgpack.unpack('\\129\\192\\1')",
             "cjson.encode_max_depth(0)"]  # fmt: skip
    forms = ["return %s", "local x = %s return x", "\n\n  %s", "return {%s}"]
    same([["EVAL", form % call, "0"] for call in calls for form in forms], resp=(2,), cleanup=CLEANUP)
