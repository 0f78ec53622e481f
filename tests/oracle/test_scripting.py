"""What scripts may call, and the commands that run and keep them, beside redis-server."""

import pytest

from tests.oracle.harness import Masked, requires, same
from tests.oracle.lua_scripts import evaluate, script, without_addresses

pytestmark = requires("8.10")


@pytest.mark.parametrize(
    "source",
    [
        "return redis.sha1hex('')", "return redis.sha1hex('abc')", "return redis.sha1hex(1)",
        "return redis.sha1hex(1.5)", "return redis.sha1hex()", "return redis.sha1hex(1, 2)",
        "return redis.sha1hex('a\\0b')", "return redis.error_reply('text')", "return redis.error_reply('CODE text')",
        "return redis.error_reply('-CODE text')", "return redis.error_reply('-text')",
        "return redis.error_reply('')", "return redis.error_reply()", "return redis.error_reply(1)",
        "return redis.error_reply({})", "return redis.error_reply('a', 'b')",
        "return redis.error_reply('CODE a\\r\\nb\\r\\n')", "return redis.error_reply('\\r\\n')",
        "return redis.error_reply('a\\0b c')", "return redis.error_reply('CODE  two  spaces ')",
        "return redis.error_reply(' text')", "return redis.error_reply('- x')", "return redis.error_reply('x').err",
        "return redis.error_reply('My Err').err", "return redis.error_reply(1).err",
        "return redis.status_reply('FINE')", "return redis.status_reply('')", "return redis.status_reply(1)",
        "return redis.status_reply()", "return redis.status_reply('a', 'b')",
        "return redis.status_reply('a\\r\\nb')", "return redis.status_reply('x').ok",
        "redis.log(redis.LOG_NOTICE, 'text')", "redis.log(redis.LOG_DEBUG, 'a', 'b', 1)", "redis.log('1', 'text')",
        "redis.log()", "redis.log(1)", "redis.log('x', 'y')", "redis.log(4, 'y')", "redis.log(-1, 'y')",
        "redis.log({}, 'y')", "redis.log(1.9, 'y')", "redis.log(3, {})", "redis.log(3.5, 'x')",
        "redis.log(nil, 'x')", "return redis.log(3, 'x')",
        "return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}", "redis.setresp()",
        "redis.setresp(4)", "redis.setresp('3') return true", "redis.setresp({})", "redis.setresp(3, 3)",
        "redis.setresp(2.9) return true", "redis.setresp(3) redis.setresp(2) return false",
        "return redis.setresp(3)", "redis.set_repl()", "redis.set_repl(4)", "redis.set_repl(-1)",
        "redis.set_repl({})", "redis.set_repl(1, 2)", "return redis.set_repl(redis.REPL_NONE)",
        "redis.set_repl(redis.REPL_ALL) return redis.call('SET', 'a', 1)",
        "redis.set_repl(redis.REPL_NONE) return redis.call('SET', 'a', 1)",
        "return {redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL}",
        "return redis.replicate_commands()", "return redis.breakpoint()", "return redis.debug('x')",
        "return {type(redis.REDIS_VERSION), type(redis.REDIS_VERSION_NUM)}",
        "return redis.acl_check_cmd('GET', 'k')", "return redis.acl_check_cmd('NOSUCH')",
        "return redis.acl_check_cmd('GET')", "return redis.acl_check_cmd()", "return redis.acl_check_cmd({})",
        "return redis.acl_check_cmd('SET', 'k', 1)", "return redis.acl_check_cmd('XINFO', 'HELP')",
        "return redis.acl_check_cmd('XINFO', 'NOSUCH')", "return redis.register_function",
        "return type(redis.register_function)",
        "local names = {} for name in pairs(redis) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(_G) do if name:sub(1, 2) ~= '__' then names[#names + 1] = name end end"
        " table.sort(names) return names",
        "local names = {} for name in pairs(string) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(table) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(math) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(os) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(coroutine) do names[#names + 1] = name end table.sort(names) return "
        "names",
        "return {type(_G), type(redis), type(string), type(cjson), type(bit), type(struct), type(cmsgpack), "
        "type(os)}",
        "return {type(next(redis)), type(rawget(_G, 'redis')), type(rawget(redis, 'call')), type(rawget(_G, "
        "'nosuch'))}",
        "return {type(os.clock()), _VERSION, type(collectgarbage('count')), collectgarbage(), "
        "collectgarbage('step')}",
        "return collectgarbage('nosuch')", "return type(gcinfo())", "return rawequal(redis, redis)",
        "return _G._G == _G", "return os.time()", "return io", "return debug", "return package", "return require",
        "return python", "return print", "return dofile", "return loadfile", "return setfenv", "return getfenv",
        "return newproxy", "return module", "return arg", "return #KEYS + #ARGV", "KEYS[1] = 'x' return KEYS",
        "return {type(KEYS), type(ARGV)}", "return string.dump ~= nil",
        "math.randomseed(5) return {math.random(1000), math.random(5, 9), tostring(math.random())}",
        "math.randomseed(-5) return {math.random(2^31 - 1), math.random(1), tostring(math.random())}",
        "math.randomseed(2^31) return math.random(100000)", "math.randomseed(123456789) return math.random(100000)",
        "math.randomseed(0) local t = {} for i = 1, 200 do t[i] = math.random(1000000) end return t",
        "math.randomseed(1.9) return math.random(100000)", "math.randomseed('7') return math.random(100000)",
        "return math.random(0)", "return math.random(2, 1)", "return math.random(1, 2, 3)",
        "return math.random('x')", "return math.random({})", "math.randomseed()", "math.randomseed('x')",
        "math.randomseed({})",
        "local t = {} for i = 1, 10 do t[i] = ('%5.2f|%-5d|%05d|%x|%q'):format(i / 3, i, i, i, 'a\\nb') end return t",
        "return {('a,b,c'):find(',', 1, true), ('abc'):match('(a)(b)'), ('hello'):gsub('l', 'L')}",
        "local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t",
        "local t = {5, 2, 8} table.sort(t) table.insert(t, 1, 0) table.insert(t, 9) table.remove(t, 2) return t",
        "return {unpack({1, 2, 3}, 2)}", "return {unpack({1, 2, 3}, 2, 5)}", "return {unpack({}, 1, 0)}",
        "return unpack({1, 2})", "return {select('#', 1, nil, nil), select(2, 'a', 'b')}",
        "return {select(-1, 'a', 'b')}",
        "return {tostring(1e15), tostring(2^53), tostring(0.1), tostring(1/3), tostring(-0), tostring(1e100)}",
        "return {tonumber('0x10'), tonumber('10', 2), tonumber('z', 36), tonumber(' 5 '), tonumber('1e2')}",
        "return {math.floor(-1.5), math.ceil(1.2), math.max(1, 5, 3), math.fmod(7, 3), math.abs(-3)}",
        "return {next({}), next({10})}", "return {ipairs({})}",
        "local n = 0 for _ in pairs({1, 2, a = 3}) do n = n + 1 end return n",
    ],
)  # fmt: skip
def test_the_api(source: str) -> None:
    same([Masked(script(source), without_addresses)], state=True)


def test_keys_and_arguments() -> None:
    source = "return {KEYS, ARGV, #KEYS, #ARGV}"
    same(
        [
            [*command.split()[:1], source, *command.split()[1:]]
            for command in (
                "EVAL 0", "EVAL 0 a b", "EVAL 1 a", "EVAL 1 a b", "EVAL 2 a b", "EVAL 2 a b c d", "EVAL 3 a b c",
                "EVAL 3 a b c d e", "EVAL 1", "EVAL -1", "EVAL -1 a", "EVAL x a", "EVAL 01 a",
                "EVAL 9223372036854775808", "EVAL 5 a b", "EVAL_RO 1 a b", "EVAL", "EVAL_RO", "EVALSHA 0",
                "EVALSHA_RO 0", "EVAL 1.0 a", "EVAL 99999999999999999999 a", "eval 1 a",
            )
        ]
    )  # fmt: skip
    many = [str(n) for n in range(1000)]
    same(
        [
            ["EVAL", source, 0, *many],
            ["EVAL", source, 1000, *many],
            ["EVAL", source, 500, *many],
            ["EVAL", source, 64, *many[:70]],
        ]
    )
    same([["EVAL", source, 1, b"\x00\xff\r\n", b""], ["EVAL", "return KEYS[1] .. ARGV[1]", 1, b"\x80", b"\x00"]])


def test_script_commands() -> None:
    one, two = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "7f923f79fe76194c868d7e1d0820de36700eb649"
    same(
        [
            "SCRIPT FLUSH",
            f"EVALSHA {one} 0",
            f"EVALSHA {one} x",
            "EVALSHA short 0",
            "EVALSHA short x",
            "SCRIPT LOAD 'return 1'",
            f"SCRIPT EXISTS {one} {two} {one.upper()} short",
            f"EVALSHA {one} 0",
            f"EVALSHA {one.upper()} 0",
            f"EVALSHA_RO {one} 0",
            f"EVALSHA {one} 1",
            f"EVALSHA {one} -1",
            "EVAL 'return 2' 0",
            f"EVALSHA {two} 0",
            "SCRIPT LOAD 'return ='",
            "SCRIPT LOAD",
            "SCRIPT LOAD a b",
            "SCRIPT EXISTS",
            "SCRIPT KILL",
            "SCRIPT KILL x",
            "SCRIPT NOSUCH",
            "SCRIPT",
            "SCRIPT FLUSH x",
            "SCRIPT FLUSH SYNC x",
            "SCRIPT FLUSH sync",
            f"SCRIPT EXISTS {one} {two}",
            "SCRIPT FLUSH ASYNC",
            "SCRIPT DEBUG x",
            "SCRIPT DEBUG NO",
            "SCRIPT DEBUG",
            "SCRIPT LOAD ''",
            "EVALSHA da39a3ee5e6b4b0d3255bfef95601890afd80709 0",
        ]
    )


@pytest.mark.parametrize(
    "line",
    [
        "#!lua", "#!lua ", "#!lua flags=", "#!lua flags=no-writes", "#!lua flags=no-writes,allow-oom",
        "#!lua flags=nosuch", "#!lua flags=no-writes,", "#!lua flags=NO-WRITES", "#!lua name=x", "#!python", "#!",
        "#! lua", "#!lua flags=no-writes flags=allow-oom", "#!lua 'flags=no-writes'", '#!lua "flags=no-writes"',
        "#!lua 'unfinished", "#!lua flags=allow-stale,no-cluster,allow-cross-slot-keys", "#!LUA",
        "#!lua\tflags=no-writes", "#!lua x", "#!lua\0", "#",
    ],
)  # fmt: skip
def test_shebang_lines(line: str) -> None:
    same(
        [
            script(f"{line}\nreturn 1"),
            script(line),
            script(f"{line}\nreturn redis.call('SET', 'a', 1)"),
            script(f"{line}\nreturn redis.call('GET', 'a')", by="EVAL_RO"),
            script(f"{line}\n\nreturn redis.call('NOSUCH')"),
            ["SCRIPT", "LOAD", f"{line}\nreturn 1"],
        ],
        state=True,
    )


@pytest.mark.parametrize(
    "options",
    [
        "'BY', 'nosort'", "'BY', 'nosort', 'DESC'", "'BY', 'nosort', 'LIMIT', 1, 2", "'BY', 'x', 'ALPHA'",
        "'BY', 'nosort', 'GET', '#', 'GET', 'w_*'", "'BY', 'nosort', 'STORE', 'stored'", "'BY', 'nosort', 'BY', 'w_*'",
        "'ALPHA'", "'BY', 'w_*'", "'BY', 'nosort', 'ALPHA', 'DESC', 'LIMIT', 0, 3",
    ],
)  # fmt: skip
def test_sets_have_an_order_in_scripts(options: str) -> None:
    setup = ("SADD strings pear apple fig kiwi 10 9 100", "SADD integers 10 9 100 3", "MSET w_pear 1 w_fig 2 w_10 3")
    for name in ("strings", "integers"):
        evaluate(
            f"return redis.pcall('SORT', '{name}', {options})", f"return redis.pcall('SORT_RO', '{name}', {options})",
            "return redis.call('LRANGE', 'stored', 0, -1)", setup=setup,
        )  # fmt: skip


def test_what_is_the_same_in_each_run_of_a_script() -> None:
    evaluate(
        # Where a generator stands depends on all that has run before, and Redis's on its functions, too.
        "math.randomseed(5) return {math.random(1000), math.random(1000)}",
        "return {math.random(1000), math.random(1000)}",
        "math.randomseed(7) return math.random(1000)", "return math.random(1000)",
        "local a = redis.call('TIME') for i = 1, 1e6 do end local b = redis.call('TIME') return a[2] == b[2]",
        "redis.call('SET', 'k', 1, 'PX', 1) for i = 1, 2e6 do end return redis.call('GET', 'k')",
        "return redis.call('KEYS', 'nosuch*')", "local t = {} for k in pairs({a=1, b=2, c=3, d=4}) do t[#t+1] = k end "
        "return t",
    )  # fmt: skip
