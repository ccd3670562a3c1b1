# What `./dev check` does; it reads this file.
# shellcheck shell=bash disable=SC2154 # the rest is in ./dev

# Runs one step, which counts as one test case.
step() {
    echo "check: $1 ..."
    if "${@:2}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "check: $1 FAILED"
        return 1
    fi
}

check_format() {
    list_sources && clang-format-19 --dry-run -Werror "${sources[@]}"
}

# Prints each include that matches the pattern in the folders.
includes() {
    local s='[[:space:]]*'
    grep -rnsE --include='*.[ch]*' "^$s#${s}include${s}[<\"](\.\./)*(ringdown/)?($1)" \
        "${@:2}" || true
}

# Folders point one way: shutdown -> net -> runtime. Nobody sees bench, tests and examples, and the
# library needs neither fmt nor doctest.
check_includes() {
    local wrong
    wrong=$(
        includes '(net|shutdown)/|ringdown\.hpp' runtime
        includes 'shutdown/|ringdown\.hpp' net
        includes 'shutdown/(session|server)/' shutdown/ending
        includes 'shutdown/server/' shutdown/session
        includes 'shutdown/session/' shutdown/server
        includes '(bench|tests|examples|command_line)/|fmt/|doctest' runtime net shutdown include
        includes '(tests|examples)/' bench
        includes '(bench|tests)/' examples
        includes '(runtime|net|shutdown|bench|tests|examples)/|ringdown\.hpp' command_line
    )
    [[ -z $wrong ]] || { printf 'not allowed to include this:\n%s\n' "$wrong" && return 1; }
}

# What g++ 12 compiles wrongly in coroutines: the library has to build with it.
check_awaits() {
    local coroutines
    mapfile -t coroutines < <(grep -rl --include='*.cpp' co_await runtime net shutdown examples \
        bench tests)
    python3 tests/tools/lost_awaits_test.py &&
        python3 tools/lost_awaits.py -p "$1" "${coroutines[@]}"
}

build_quietly() {
    set_up "$@" && ninja --quiet -C "$1"
}

# The release build, unless this machine's compiler may have warnings there.
check_gcc() {
    if [[ $(warnings) ]]; then
        gcc_folder=build
        step "g++ build" build
    else
        gcc_folder=build-check/gcc
        CXX=g++ step "g++ build" build_quietly "$gcc_folder" -Dwerror=true "${everything[@]}"
    fi
}

# The library and its tests: one build shows that clang has nothing to warn of and that the
# sanitizers have not either.
check_sanitizers() {
    local folder=build-check/sanitizers compiler=clang++-19
    # The check of vtable pointers makes a pipe, and reports an error where there are no descriptors
    # left, as tests of shortages have it.
    local flags="-fno-sanitize-recover=all -fno-sanitize=vptr -gline-tables-only"
    # Meson looks for ccache by itself only when no compiler is named.
    ! command -v ccache >/dev/null || compiler="ccache $compiler"
    # Clang's sanitizer runtime is linked into the program only, hence b_lundef.
    CXX=$compiler step "clang++ and sanitizers build" build_quietly "$folder" -Dwerror=true \
        -Dtests=enabled -Dexamples=disabled -Dbench=disabled -Doptimization=1 \
        -Db_sanitize=address,undefined -Db_lundef=false \
        "-Dcpp_args=$flags" || return
    echo "check: sanitizers tests ..."
    # A timeout is for a test that hangs, not for one that slower code makes slow.
    run_tests "$folder" --timeout-multiplier=4 --suite=unit
}

# Some faults of the library that the tests must find, some of them by one ending alone.
check_mutants() {
    # Debian's own Python has Debian's bindings of clang.
    step "finding faults to plant" /usr/bin/python3 tests/mutants/mutants_test.py || return
    step "planted faults" /usr/bin/python3 tests/mutants/main.py --build "$1" --check
}

check() {
    # Names in stack traces by addr2line, which comes with g++; clang's own tool is a package more.
    export ASAN_SYMBOLIZER_PATH=${ASAN_SYMBOLIZER_PATH-$(command -v addr2line)}
    export UBSAN_OPTIONS=${UBSAN_OPTIONS-print_stacktrace=1}
    # All ten thousand schedules of each ending run in `test`; here, where they take ten times as
    # long, enough to pass every line.
    export RINGDOWN_SCHEDULES=${RINGDOWN_SCHEDULES-300}
    step format check_format || true
    step "include direction" check_includes || true
    if check_gcc; then
        step "clang++ of examples and bench" \
            python3 tests/support/check_syntax.py clang++-19 "$gcc_folder" \
            command_line examples bench || true
        check_mutants "$gcc_folder" || true
    fi
    [[ ! -e $gcc_folder/compile_commands.json ]] ||
        step "awaits that g++ 12 loses" check_awaits "$gcc_folder" || true
    check_sanitizers || true
}
