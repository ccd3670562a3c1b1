#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

/// A folder of its own, gone at the end of the block.
class scratch {
public:
    scratch() {
        std::string name = (std::filesystem::temp_directory_path() / "ringdown-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()));
        path_ = name;
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string file(const std::string& name) const {
        return (path_ / name).string();
    }
    [[nodiscard]] std::string socket() const { return file("socket"); }

private:
    std::filesystem::path path_;
};
