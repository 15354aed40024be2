#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace foregate::nn {

/// Multiplications that are worth a thread of their own. A thread that sleeps takes some ten
/// microseconds to wake up, and of these a few are to be gained.
inline constexpr int64_t kProductsOfAThread = 1 << 16;

/// How many threads should share so many multiplications: at least one, at most all.
inline int64_t threads_for(int64_t products) {
  return std::clamp<int64_t>(products / kProductsOfAThread, 1, at::get_num_threads());
}

/// work(begin, end) over parts from 0 to `count` of about so many multiplications each, by as many
/// threads as they are worth.
template <typename Work>
void share_among_threads(int64_t count, int64_t products_each, const Work& work) {
  const int64_t threads = threads_for(count * products_each);
  at::parallel_for(0, count, std::max<int64_t>(1, (count + threads - 1) / threads), work);
}

}  // namespace foregate::nn
