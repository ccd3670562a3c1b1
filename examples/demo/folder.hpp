#pragma once

#include <filesystem>

namespace ringdown_demo {

/// Makes the folder that is wanted, or a temporary one.
[[nodiscard]] std::filesystem::path make_folder(const std::filesystem::path& wanted);

} // namespace ringdown_demo
