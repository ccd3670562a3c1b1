#include <doctest/doctest.h>

#include <ringdown/net/internal/record_map.hpp>

using ringdown::record_map;

TEST_CASE("record_map: bytes count when the whole record has gone") {
    record_map records({0, 0});
    records.add({108, 100});
    records.add({116, 100}); // one without bytes of the application
    records.add({224, 200});
    CHECK(records.plain_within(0) == 0);
    CHECK(records.plain_within(107) == 0);
    CHECK(records.plain_within(108) == 100);
    CHECK(records.plain_within(223) == 100);
    CHECK(records.plain_within(224) == 200);
    CHECK(records.plain_within(~std::uint64_t{}) == 200);
}

TEST_CASE("record_map: it begins where a layer was put over a stream that was in use") {
    record_map records({500, 500});
    CHECK(records.plain_within(499) == 0);
    CHECK(records.plain_within(500) == 500);
    records.add({608, 600});
    CHECK(records.plain_within(607) == 500);
    CHECK(records.plain_within(608) == 600);
}

TEST_CASE("record_map: what was forgotten is told as before") {
    record_map records({0, 0});
    for (std::uint64_t i = 1; i <= 5; ++i)
        records.add({i * 10, i * 8});
    records.forget(29);
    CHECK(records.size() == 3);
    CHECK(records.plain_within(29) == 16);
    CHECK(records.plain_within(30) == 24);
    records.forget(50);
    CHECK(records.size() == 0);
    CHECK(records.plain_within(50) == 40);
}

TEST_CASE("record_map: thinned out it tells less, never more, and where it matters exactly") {
    for (const std::uint64_t count : {1, 2, 7, 8}) {
        for (std::uint64_t within = 0; within <= count; ++within) {
            record_map whole({0, 0});
            record_map thinned({0, 0});
            for (std::uint64_t i = 1; i <= count; ++i) {
                whole.add({i * 10, i * 8});
                thinned.add({i * 10, i * 8});
            }
            thinned.thin(within * 10);
            CHECK(thinned.size() == count - within / 2);
            for (std::uint64_t wire = 0; wire <= count * 10; ++wire)
                CHECK(thinned.plain_within(wire) <= whole.plain_within(wire));
            for (std::uint64_t wire = within * 10; wire <= count * 10; ++wire)
                CHECK(thinned.plain_within(wire) == whole.plain_within(wire));
        }
    }
}
