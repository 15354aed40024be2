#include "nn/thread_share.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace foregate::nn {
namespace {

TEST(ThreadShare, WakesNobodyForLittle) {
  EXPECT_EQ(threads_for(0), 1);
  EXPECT_EQ(threads_for(2 * kProductsOfAThread - 1), 1);
  EXPECT_EQ(threads_for(2 * kProductsOfAThread), std::min(2, at::get_num_threads()));
  EXPECT_EQ(threads_for(int64_t{1} << 40), at::get_num_threads());
}

TEST(ThreadShare, EveryPartIsDoneOnce) {
  for (const int64_t count : {0, 1, 2, 7, 1000}) {
    for (const int64_t each : {int64_t{0}, int64_t{1}, kProductsOfAThread, int64_t{1} << 40}) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(count));
      share_among_threads(count, each, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
      });
      for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
    }
  }
}

// Little work stays with the thread that asks for it.
TEST(ThreadShare, LittleIsDoneInOnePiece) {
  int pieces = 0;
  share_among_threads(1000, 10, [&](int64_t begin, int64_t end) {
    ++pieces;
    EXPECT_EQ(begin, 0);
    EXPECT_EQ(end, 1000);
  });
  EXPECT_EQ(pieces, 1);
}

}  // namespace
}  // namespace foregate::nn
