#include <ringdown/runtime/internal/ready_list.hpp>

namespace ringdown {

void ready_list::grow() { tasks_.resize(tasks_.size() * 2); }

} // namespace ringdown
