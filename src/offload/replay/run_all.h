#pragma once

#include <functional>
#include <vector>

namespace foregate::offload {

/// Runs every task once, over so many threads. The first exception ends all and is thrown again.
void run_all(const std::vector<std::function<void()>>& tasks, int threads);

}  // namespace foregate::offload
