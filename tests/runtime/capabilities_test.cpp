#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <ringdown/runtime/capabilities.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/system_calls.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

namespace {

/// RINGDOWN_DISABLE with another value, until the end of the block.
class disabled {
public:
    explicit disabled(const char* list) {
        if (const char* found = std::getenv("RINGDOWN_DISABLE")) before_ = found;
        if (list)
            ::setenv("RINGDOWN_DISABLE", list, 1);
        else
            ::unsetenv("RINGDOWN_DISABLE");
    }
    ~disabled() {
        if (before_)
            ::setenv("RINGDOWN_DISABLE", before_->c_str(), 1);
        else
            ::unsetenv("RINGDOWN_DISABLE");
    }

private:
    std::optional<std::string> before_;
};

std::string every_name() {
    std::string list;
    for (const capability each : all_capabilities())
        list.append(list.empty() ? "" : ",").append(name(each));
    return list;
}

} // namespace

TEST_CASE("capabilities: each has a name of its own, which parses") {
    std::set<std::string_view> names;
    CHECK(all_capabilities().size() == capability_count);
    for (const capability each : all_capabilities()) {
        names.insert(name(each));
        std::string complaint;
        const auto parsed = parse_capabilities(name(each), complaint);
        REQUIRE(parsed);
        for (const capability other : all_capabilities())
            CHECK(parsed->has(other) == (other == each));
    }
    CHECK(names.size() == capability_count);
}

TEST_CASE("capabilities: a list parses, with or without empty parts") {
    std::string complaint;
    const auto two = parse_capabilities("multishot_recv,buffer_ring", complaint);
    REQUIRE(two);
    CHECK(two->has(capability::multishot_recv));
    CHECK(two->has(capability::buffer_ring));
    CHECK_FALSE(two->has(capability::multishot_accept));
    CHECK(parse_capabilities("", complaint) == capability_set{});
    CHECK(parse_capabilities(",multishot_recv,,buffer_ring,", complaint) == two);
    CHECK(complaint.empty());
}

TEST_CASE("capabilities: an unknown name is named, with what would be accepted") {
    for (const char* wrong :
         {"multishot", "multishot_recv,no_such", "MULTISHOT_RECV", "buffer_ring "}) {
        std::string complaint;
        const auto refused = parse_capabilities(wrong, complaint);
        REQUIRE(!refused);
        CHECK(refused.error() == std::errc::invalid_argument);
        CHECK(complaint.find('\n') == std::string::npos);
        for (const capability each : all_capabilities())
            CHECK(complaint.find(name(each)) != std::string::npos);
    }
    std::string complaint;
    (void)parse_capabilities("multishot_recv,no_such", complaint);
    CHECK(complaint.find("'no_such'") != std::string::npos);
}

TEST_CASE("capabilities: RINGDOWN_DISABLE masks, and a wrong name in it is one clear line") {
    const leak_guard unchanged;
    {
        const disabled everything(every_name().c_str());
        const loop bare;
        CHECK(bare.capabilities() == capability_set{});
    }
    {
        const disabled none("");
        const loop full;
        CHECK(full.capabilities() == probe_capabilities(kernel()));
    }
    const disabled wrong("buffer_rings");
    CHECK_THROWS_AS(capabilities_disabled_by_environment(), std::invalid_argument);
    try {
        const loop refused;
        FAIL("accepted");
    } catch (const std::invalid_argument& refused) {
        const std::string text = refused.what();
        CHECK(text.find("RINGDOWN_DISABLE") != std::string::npos);
        CHECK(text.find("'buffer_rings'") != std::string::npos);
    }
}

TEST_CASE("capabilities: options mask in addition to the environment") {
    const disabled one("multishot_recv");
    ring_options options;
    options.disabled.add(capability::buffer_ring);
    const ring masked(kernel(), options);
    CHECK_FALSE(masked.has(capability::multishot_recv));
    CHECK_FALSE(masked.has(capability::buffer_ring));
}

TEST_CASE("capabilities: probing leaves nothing behind and answers the same again") {
    const leak_guard unchanged;
    CHECK(probe_capabilities(kernel()) == probe_capabilities(kernel()));
    CHECK_FALSE(probe_shutdown_in_place(kernel())); // so far no kernel has run it in place
}

TEST_CASE("capabilities: a loop works without each of them, and without any") {
    const disabled none(nullptr);
    auto works = [](const capability_set& masked) {
        test_loop on({.ring = {.entries = 8, .completion_entries = 16, .disabled = masked}});
        return on.run([&]() -> task<bool> {
            co_await turns(40);
            co_return true;
        });
    };
    capability_set all;
    for (const capability each : all_capabilities()) {
        CAPTURE(std::string(name(each)));
        CHECK(works(capability_set{}.add(each)));
        all.add(each);
    }
    CHECK(works(all));
}

TEST_CASE("capability_set: adds and removes, one by one and as sets") {
    capability_set set;
    set.add(capability::buffer_ring).add(capability::skip_success);
    CHECK(set.has(capability::buffer_ring));
    set.remove(capability::buffer_ring);
    CHECK_FALSE(set.has(capability::buffer_ring));
    CHECK(set.has(capability::skip_success));
    capability_set other;
    other.add(capability::multishot_recv);
    other.add(set);
    CHECK(other.has(capability::skip_success));
    other.remove(set);
    CHECK_FALSE(other.has(capability::skip_success));
    CHECK(other.has(capability::multishot_recv));
}
