#include "base/threads.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace foregate {
namespace {

TEST(BoundedQueue, PassesEverythingInOrder) {
  BoundedQueue<int> queue(2);
  std::jthread producer([&] {
    for (int i = 0; i < 1000; ++i) queue.push(i);
    queue.close();
  });
  int expected = 0;
  while (const auto value = queue.pop()) EXPECT_EQ(*value, expected++);
  EXPECT_EQ(expected, 1000);
}

TEST(BoundedQueue, FailReachesBothEnds) {
  BoundedQueue<int> queue(1);
  queue.push(1);
  std::jthread failing([&] { queue.fail(std::make_exception_ptr(std::runtime_error("broken"))); });
  EXPECT_THROW(
      {
        queue.push(2);
        queue.push(3);
      },
      std::runtime_error);
  failing.join();
  EXPECT_THROW(queue.pop(), std::runtime_error);
}

TEST(BoundedQueue, CloseWakesAProducer) {
  BoundedQueue<int> queue(1);
  queue.push(1);
  std::jthread closer([&] { queue.close(); });
  EXPECT_FALSE(queue.push(2));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

}  // namespace
}  // namespace foregate
