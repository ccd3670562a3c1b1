#include "layered_peer.hpp"

#include <array>
#include <random>

#include "support/framing_layer.hpp"

namespace schedules {
namespace {

using namespace ringdown;
using namespace ringdown::testing;

// As much as the peers of a schedule have time for.
constexpr std::uint64_t upload_bytes = 400'000;

class translator {
public:
    explicit translator(std::uint64_t seed) : dice_(seed) {}

    std::string write(std::uint64_t bytes) {
        std::string plain;
        for (std::uint64_t i = 0; i < bytes; ++i)
            plain += sim_payload(written_++);
        if (below(32) == 0) return framed_rubbish();
        std::string wire = framed(plain, std::array<std::size_t, 3>{100, 1000, 9000}[below(3)]);
        if (below(16) == 0) wire.resize(wire.size() - 1); // nothing can follow it
        return wire;
    }
    std::string finish() { return below(4) == 0 ? std::string() : framed_goodbye(); }
    std::string greet() { return below(8) == 0 ? std::string() : framed_hello(); }

private:
    std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }

    std::mt19937_64 dice_;
    std::uint64_t written_ = 0;
};

} // namespace

layered_peer speak_layer(const peer_script& plain, std::uint64_t seed, bool handshake) {
    using act = peer_script::act;
    layered_peer made{plain, {}};
    made.script.steps.clear();
    translator speech(seed);
    auto say = [&made](std::string wire) {
        if (wire.empty()) return;
        made.wire += wire;
        made.script.write(std::move(wire));
    };
    if (handshake) say(speech.greet());
    for (const peer_script::step& each : plain.steps) {
        if (each.what == act::write) {
            say(speech.write(each.bytes));
            continue;
        }
        if (each.what == act::upload) {
            say(speech.write(upload_bytes));
            continue;
        }
        if (each.what == act::finish || each.what == act::close) say(speech.finish());
        made.script.steps.push_back(each);
    }
    return made;
}

} // namespace schedules
