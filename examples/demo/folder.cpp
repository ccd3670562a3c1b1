#include "folder.hpp"

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace ringdown_demo {

namespace files = std::filesystem;

files::path make_folder(const files::path& wanted) {
    if (!wanted.empty()) {
        files::create_directories(wanted);
        return wanted;
    }
    auto name = (files::temp_directory_path() / "ringdown-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw std::system_error(errno, std::system_category(), name);
    }
    return name;
}

} // namespace ringdown_demo
