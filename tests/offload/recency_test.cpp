#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/random.h"
#include "offload/replay/recency_stack.h"

namespace foregate::offload {
namespace {

TEST(RecencyStack, IsAListMovedToFront) {
  for (const size_t objects : {1, 2, 31, 32, 33, 64, 65, 700}) {
    RecencyStack stack(objects);
    std::deque<size_t> list;
    Random random(objects);
    for (int i = 0; i < 5000; ++i) {
      const size_t object = random.below(1 + random.below(objects));
      const auto at = std::find(list.begin(), list.end(), object);
      const size_t expected =
          at == list.end() ? RecencyStack::kNeverUsed : static_cast<size_t>(at - list.begin()) + 1;
      ASSERT_EQ(stack.depth(object), expected) << objects << " objects, use " << i;
      if (at != list.end()) list.erase(at);
      list.push_front(object);
      stack.use(object);
      if (i == 3000) {
        stack.reset();
        list.clear();
      }
    }
  }
}

}  // namespace
}  // namespace foregate::offload
