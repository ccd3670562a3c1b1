#include <ringdown/runtime/error.hpp>

#include <string>

namespace ringdown {
namespace {

class ringdown_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "ringdown"; }
    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
        case errc::end_of_stream:
            return "end of stream";
        case errc::ending:
            return "connection is ending";
        case errc::deadline_passed:
            return "deadline passed";
        case errc::connection_limit:
            return "the limit of connections is reached";
        case errc::truncated:
            return "the stream was cut: its end came without a goodbye";
        }
        return "unknown ringdown error";
    }
    std::error_condition default_error_condition(int code) const noexcept override {
        if (static_cast<errc>(code) == errc::deadline_passed) return std::errc::timed_out;
        return {code, *this};
    }
};

} // namespace

const std::error_category& error_category() noexcept {
    static const ringdown_category instance;
    return instance;
}

std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), error_category()};
}

} // namespace ringdown
